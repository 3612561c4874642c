-- A page of those in a room who are not hidden.
-- KEYS: room people names     ARGV: behind whom, how many
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local answer = {}
for i, identity in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], from, '+', 'LIMIT', 0, ARGV[2])) do
  answer[i] = { identity, redis.call('HGET', KEYS[2], identity) }
end
return answer
