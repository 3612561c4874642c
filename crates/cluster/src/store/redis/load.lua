-- What an operation is decided on. Knows no rule.
-- KEYS: room standing hands people names over     ARGV: the version that is known already, identities
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room = redis.call('HMGET', KEYS[1], 'version', 'door', 'head')
local head, standing, hands, over = false, {}, {}, false
if not room[3] then
  over = redis.call('GET', KEYS[6])
elseif room[1] ~= ARGV[1] then
  head, standing, hands = room[3], redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])
end
local people = {}
for i = 2, #ARGV do
  people[i - 1] = redis.call('HGET', KEYS[4], ARGV[i])
end
return { now, room[1], room[2], head, standing, hands, over, redis.call('ZCARD', KEYS[5]), people }
