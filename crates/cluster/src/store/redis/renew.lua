-- Lets the sessions of a signaling node live on; whether they did until now.
-- KEYS: the leases, the rooms in which it has sessions     ARGV: the node, for how long, how long keys are kept
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return until_then and tonumber(until_then) > now and 1 or 0
