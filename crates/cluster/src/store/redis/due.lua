-- What is due, and in which rooms: whoever is answered has a while before others are. Of a room whose list is none
-- nothing is due, and others wait for it no longer than for any.
-- KEYS: what is due in which     ARGV: most rooms, most things in each, how long a while is, what keys begin with
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for i, room in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local due = ARGV[4] .. '{' .. room .. '}:due'
  local found = redis.pcall('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[2])
  answer[i] = { room, found.err and {} or found }
  if redis.call('EXISTS', due) == 1 then
    redis.call('ZADD', KEYS[1], now + ARGV[3], room)
  else
    redis.call('ZREM', KEYS[1], room)
  end
end
return answer
