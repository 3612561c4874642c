-- Lets the sessions of a signaling node live on: whether they did until now, and which life of the store this is:
-- of the server, which may be another one or have been started again, and of what it keeps.
-- KEYS: the leases, the rooms in which it has sessions, life
-- ARGV: the node, for how long, how long keys are kept, a life for what has none
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[4], 'NX')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return { until_then and tonumber(until_then) > now and 1 or 0, server .. '/' .. redis.call('GET', KEYS[3]) }
