-- One channel: its bounds, what of it has expired, and how its followers are told.
-- KEYS: 2 bounds, 3 messages, 4 the newest message of each key, 5 announcements that wait for replicas.
-- ARGV: 11 what the epoch of a channel begins with that nobody wrote to, 12 that of one that begins
-- again, 13 the command to publish with, 14 where to.

local bounds, stream, newest, waiting = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local publish, topic = ARGV[13], ARGV[14]

-- How long a channel's bounds outlive its last message, in ms.
local IDLE = 2592000000
-- Some thousand years in ms; longer times overflow an expiry.
local LONGEST = 100000000000000
-- Bytes of messages in one announcement; a server cuts off who has too many of them to come.
local ANNOUNCED = 262144
-- Announcements that wait for replicas; beyond it followers read the log instead.
local WAITING = 1000

local row = redis.call('HMGET', bounds, 'seed', 'last', 'lost', 'closed', 'at', 'written', 'removed',
  'named', 'keep', 'age', 'ttl', 'shown')
local seed = row[1]
local last, lost = tonumber(row[2] or '0'), tonumber(row[3] or '0')
local closed, removed, named = row[4] == '1', row[7] == '1', row[8] == '1'
-- When the newest message was stored; when the channel was created or last written to.
local at, written = tonumber(row[5] or '0'), tonumber(row[6] or '0')
-- The terms, where it has some.
local keep, age, ttl = tonumber(row[9]), tonumber(row[10]), tonumber(row[11])
-- Up to where readers may see, if that is not all.
local shown = tonumber(row[12])

local parts, size = {}, 0

-- Tells followers what was stored; with no messages, that they must look anew.
local function tell(held)
  local text = life .. ' ' .. seed .. ' ' .. number(count) .. '\n' .. table.concat(parts)
  if held then
    redis.call('RPUSH', waiting, number(last) .. '\n' .. text)
  else
    redis.call(publish, topic, text)
  end
  parts, size = {}, 0
end

local function announce(offset, time, value, held)
  parts[#parts + 1] = number(offset) .. ' ' .. number(time) .. ' ' .. #value .. '\n'
  parts[#parts + 1] = value
  size = size + #value
  if size >= ANNOUNCED then
    tell(held)
  end
end

-- Publishes what waits, up to an offset.
local function release(upto)
  while true do
    local text = redis.call('LINDEX', waiting, 0)
    local offset, from = string.match(text or '', '^(%d+)\n()')
    if not offset or tonumber(offset) > upto then
      break
    end
    redis.call('LPOP', waiting)
    redis.call(publish, topic, string.sub(text, from))
  end
  if shown and upto >= last then
    shown = nil
    redis.call('HDEL', bounds, 'shown')
    redis.call('UNLINK', waiting)
  elseif shown and upto > shown then
    shown = upto
    redis.call('HSET', bounds, 'shown', number(shown))
  end
end

-- The channel begins again, as one that nobody wrote to.
local function wipe()
  redis.call('UNLINK', bounds, stream, newest, waiting)
  seed, last, lost, closed, removed, named = ARGV[12], 0, 0, false, false, false
  at, written, keep, age, ttl, shown = 0, 0, nil, nil, nil, nil
  redis.call('HSET', bounds, 'seed', seed, 'last', '0')
  redis.call('PEXPIRE', bounds, IDLE)
  count = count + 1
  commit()
  tell()
end

if not seed then
  -- By the time, too: another one once its bounds have been forgotten.
  seed = ARGV[11] .. ':' .. number(math.floor(now / IDLE))
  redis.call('UNLINK', stream, newest, waiting)
elseif named and ttl and written + ttl <= now then
  wipe()
end

local function last_message()
  return closed and last - 1 or last
end

local function parse(id)
  local offset, time = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(offset), tonumber(time)
end

-- Removes the messages up to an offset.
local function drop(upto)
  if redis.call('EXISTS', newest) == 1 then
    -- Their keys go with them.
    local page
    repeat
      page = redis.call('XRANGE', stream, '-', number(upto), 'COUNT', 100)
      for _, entry in ipairs(page) do
        local key = entry[2][4]
        if key and redis.call('HGET', newest, key) == entry[1] then
          redis.call('HDEL', newest, key)
        end
        redis.call('XDEL', stream, entry[1])
      end
    until #page < 100
  end
  redis.call('XTRIM', stream, 'MINID', number(upto + 1))
  lost = upto
end

-- Removes what is past the limits of retention. Gives whether that was anything.
local function expire(most, longest)
  local before = lost
  if redis.call('XLEN', stream) == 0 then
    lost = math.max(lost, last_message())
    return lost ~= before
  end
  if at + longest <= now then
    redis.call('UNLINK', stream, newest)
    lost = last_message()
    return true
  end
  local offset, time = parse(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1][1])
  if time + longest <= now then
    -- Times only grow with offsets: the last that is too old lies between these.
    local old, young = offset, last_message()
    while young - old > 1 do
      local middle = math.floor((old + young) / 2)
      offset, time = parse(redis.call('XRANGE', stream, number(middle), '+', 'COUNT', 1)[1][1])
      if time + longest <= now then
        old = offset
      else
        young = middle
      end
    end
    drop(old)
  end
  local over = redis.call('XLEN', stream) - most
  if over > 0 and not removed then
    drop(last_message() - most)
  end
  while over > 0 and removed do
    local page = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(over, 100))
    drop((parse(page[#page][1])))
    over = over - #page
  end
  return lost ~= before
end

-- Writes the bounds down, and how long they and the messages are to be kept when nobody asks again.
local function save(longest)
  redis.call('HSET', bounds, 'seed', seed, 'last', number(last), 'lost', number(lost), 'at', number(at),
    'written', number(written), 'closed', closed and '1' or '0', 'removed', removed and '1' or '0')
  longest = math.min(longest, LONGEST)
  if named and not ttl then
    redis.call('PERSIST', bounds)
  else
    redis.call('PEXPIRE', bounds, number(IDLE + longest + math.min(ttl or 0, LONGEST)))
  end
  if last > lost then
    local left = number(math.max(1, math.min(at + longest, written + (ttl or LONGEST)) - now))
    redis.call('PEXPIRE', stream, left)
    redis.call('PEXPIRE', newest, left)
  end
end
