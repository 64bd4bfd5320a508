-- Stores drafts, and tells followers in the same step.
-- KEYS: from 6 on the idempotency keys that the drafts name by their number.
-- ARGV: 15 messages to keep, 16 their age, 17 the window of idempotency keys, 18 whether keys replace,
-- 19 whether a message creates the channel, 20 whether followers wait for replicas; then of each
-- draft: what it is, its compaction key, its value.

local most, longest = keep or tonumber(ARGV[15]), age or tonumber(ARGV[16])
local window, compact, held = tonumber(ARGV[17]), ARGV[18] == '1', ARGV[20] == '1'
local answers, status, stored = {}, 'ok', 0

-- A record of this channel as it is now: one of before it was deleted does not count.
local function record(key)
  if key == 0 then
    return nil
  end
  local value = redis.call('GET', KEYS[key]) or ''
  local of, offset, sent = string.match(value, '^(%S+) (%d+) (%d+)$')
  if of == seed then
    return tonumber(offset), tonumber(sent)
  end
end

local function alone(key)
  return (record(key))
end

local function in_stream(key, index)
  local offset, sent = record(key)
  return offset and index < sent and offset or nil
end

local function is_known(once, own, of_stream, index)
  if once == 'i' then
    return alone(own) or in_stream(of_stream, index)
  elseif once == 's' then
    return in_stream(of_stream, index) or alone(own)
  end
end

local function remember(once, own, of_stream, index)
  local key, sent = own, 1
  if once == 's' then
    key, sent = of_stream, index + 1
  end
  if once ~= 'n' and window > 0 then
    redis.call('SET', KEYS[key], seed .. ' ' .. number(last) .. ' ' .. number(sent), 'PX', number(window))
  end
end

local function add(key, value)
  local id = number(last) .. '-' .. number(at)
  if not compact or key == '' then
    redis.call('XADD', stream, id, 'm', value)
    return
  end
  local old = redis.call('HGET', newest, key)
  if old and redis.call('XDEL', stream, old) == 1 then
    removed = true
  end
  redis.call('HSET', newest, key, id)
  redis.call('XADD', stream, id, 'm', value, 'k', key)
end

if ARGV[19] == '0' and not named and last == 0 then
  status = 'unknown'
else
  if held then
    shown = shown or last
  elseif shown then
    release(last)
  end
  for i = 21, #ARGV, 3 do
    local ends, once, own, of_stream, index = string.match(ARGV[i], '^(%d) (%a) (%d+) (%d+) (%d+)$')
    own, of_stream, index = tonumber(own), tonumber(of_stream), tonumber(index)
    local offset = is_known(once, own, of_stream, index)
    if not offset and closed then
      if ends == '0' then
        status = 'closed'
        break
      end
      offset = last
    end
    if offset then
      answers[#answers + 1] = -offset
    else
      last, count, stored = last + 1, count + 1, stored + 1
      written = now
      if ends == '1' then
        closed = true
        announce(last, now, ARGV[i + 2], held)
      else
        at = math.max(at, now)
        remember(once, own, of_stream, index)
        add(ARGV[i + 1], ARGV[i + 2])
        announce(last, at, ARGV[i + 2], held)
      end
      answers[#answers + 1] = last
    end
  end
  if #parts > 0 then
    tell(held)
  end
  if stored > 0 then
    expire(most, longest)
    save(longest)
    commit()
  end
  if held and stored > 0 then
    redis.call('HSET', bounds, 'shown', number(shown))
    redis.call('PEXPIRE', waiting, number(IDLE))
    if redis.call('LLEN', waiting) > WAITING then
      redis.call('UNLINK', waiting)
    end
  end
end
return {life, seed, number(count), number(last), status, unpack(answers)}
