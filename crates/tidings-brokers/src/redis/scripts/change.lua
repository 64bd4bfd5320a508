-- Creates a channel, gives it other terms, or deletes it.
-- ARGV: 15 what to do, 16 messages that the namespace keeps, 17 their age, 18 and 19 the same by the
-- channel's own terms, 20 its time to live; each of the last three may be nothing.

local was_there = named or last > 0
if ARGV[15] == 'delete' then
  if was_there then
    wipe()
  end
else
  named, keep, age, ttl = true, tonumber(ARGV[18]), tonumber(ARGV[19]), tonumber(ARGV[20])
  written, count = now, count + 1
  local longest = age or tonumber(ARGV[17])
  expire(keep or tonumber(ARGV[16]), longest)
  redis.call('HDEL', bounds, 'keep', 'age', 'ttl')
  redis.call('HSET', bounds, 'named', '1')
  for name, value in pairs({keep = keep, age = age, ttl = ttl}) do
    redis.call('HSET', bounds, name, number(value))
  end
  save(longest)
  commit()
  if ttl then
    tell()
  end
end
return {life, seed, number(count), number(last), was_there and 1 or 0, closed and 1 or 0}
