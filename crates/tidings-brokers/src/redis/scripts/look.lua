-- Where a log reaches, and what follows a place in it.
-- ARGV: 15 messages to keep, 16 their age, 17 the place, 18 whether who is below the log goes on at its
-- end, 19 most messages, 20 most bytes, 21 how many of the newest messages to go back by.

if expire(keep or tonumber(ARGV[15]), age or tonumber(ARGV[16])) then
  save(age or tonumber(ARGV[16]))
end
local whole = not shown or shown >= last
local view = whole and last or math.max(shown, lost)
local ends = closed and whole
local final = ends and view - 1 or view
local length = redis.call('XLEN', stream)

-- The place before the newest n messages.
local function before_last(n)
  if n >= length then
    return lost
  elseif not removed then
    return math.max(final - n, lost)
  end
  local upto = final
  while n > 0 do
    local page = redis.call('XREVRANGE', stream, number(upto), '-', 'COUNT', math.min(n, 100))
    if #page == 0 then
      return lost
    end
    upto = parse(page[#page][1]) - 1
    n = n - #page
  end
  return upto
end

local from = math.max(tonumber(ARGV[17]), lost)
if ARGV[18] == '1' and tonumber(ARGV[17]) < lost then
  from = view
end
local most, bytes, place = tonumber(ARGV[19]), tonumber(ARGV[20]), from
local messages = {}
while most > 0 and bytes > 0 and place < final do
  local page = redis.call('XRANGE', stream, number(place + 1), number(final), 'COUNT', math.min(most, 16))
  if #page == 0 then
    break
  end
  for _, entry in ipairs(page) do
    place = parse(entry[1])
    messages[#messages + 1] = entry[1]
    messages[#messages + 1] = entry[2][2]
    bytes = bytes - #entry[2][2]
    most = most - 1
    if bytes <= 0 then
      break
    end
  end
end

local ago = tonumber(ARGV[21])
return {
  life, seed, number(count), number(view), number(lost), ends and 1 or 0, (named or last > 0) and 1 or 0,
  length > 0 and number(at) or '', removed and 1 or 0, whole and 0 or 1, ttl and number(ttl) or '',
  ttl and number(math.max(0, written + ttl - now)) or '', number(ago > 0 and before_last(ago) or view),
  number(from), place < final and 1 or 0, number(last), messages,
}
