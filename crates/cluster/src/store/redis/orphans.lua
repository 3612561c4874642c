-- Signaling nodes whose leases have run out, each with a room in which it still has sessions.
-- KEYS: the leases     ARGV: most of them, how long nobody else is asked, what keys begin with
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local room = redis.call('SRANDMEMBER', ARGV[3] .. 'at:' .. owner)
  if not room then
    redis.call('ZREM', KEYS[1], owner)
  elseif redis.call('SET', ARGV[3] .. 'reaping:' .. owner, '', 'NX', 'PX', ARGV[2]) then
    answer[#answer + 1] = { owner, room }
  end
end
return answer
