-- The life of a bucket of channels: whether what was stored in it is known to be still there.
-- KEYS: 1 the bucket's life. ARGV: 1 run of the server, 2 its replication id, 3 whether that was not
-- shifted by a promotion, 4 its id in a cluster, 5 when its process began, 6 whether it has replicas,
-- 7 a life to begin if need be, 8 to 10 what the asking node has seen: life, run, count.

local run, replid, unshifted, server = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local started, replicas = tonumber(ARGV[5]), ARGV[6]
local seen_life, seen_run, seen_count = ARGV[8], ARGV[9], tonumber(ARGV[10])

-- Lua writes large numbers in exponents.
local function number(n)
  return string.format('%.0f', n)
end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local bucket = redis.call('HMGET', KEYS[1], 'life', 'count', 'run', 'replid', 'server', 'at', 'replicas', 'past')
local life, count, past = bucket[1], tonumber(bucket[2] or '0'), bucket[8] or ''

-- Another server goes on than the one that stored last, or the same after it was a replica.
local function is_failover()
  if bucket[3] == run then
    return bucket[4] ~= replid and not unshifted
  end
  if server ~= '' then
    return bucket[5] ~= server
  end
  -- It ran already while the other still stored: so it was a replica of that one.
  return bucket[7] == '1' and started <= tonumber(bucket[6])
end

-- A node has seen more than what is left of that time.
local function is_behind()
  if seen_life ~= life then
    return false
  end
  local there = count
  if seen_run ~= bucket[3] then
    there = tonumber(string.match(past, seen_run .. '=(%d+)') or '-1')
  end
  return seen_count > there
end

if not life or is_failover() or is_behind() then
  life = ARGV[7]
  redis.call('HSET', KEYS[1], 'life', life, 'count', number(count), 'run', run, 'replid', replid,
    'server', server, 'at', number(now), 'replicas', replicas, 'past', '')
elseif bucket[3] ~= run or bucket[4] ~= replid then
  if bucket[3] ~= run then
    past = bucket[3] .. '=' .. number(count) .. ';' .. string.sub(past, 1, 600)
  end
  redis.call('HSET', KEYS[1], 'run', run, 'replid', replid, 'server', server, 'past', past)
end

-- Notes what was stored now.
local function commit()
  redis.call('HSET', KEYS[1], 'count', number(count), 'at', number(now), 'replicas', replicas)
end
