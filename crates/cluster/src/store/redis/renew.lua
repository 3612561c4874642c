-- Lets the sessions of a signaling node live on, and with them the rooms in which they are: whether they did until
-- now, and which life of the store this is: of the server, which may be another one or have been started again, and
-- of what it keeps.
-- KEYS: the leases, the rooms in which it has sessions, life
-- ARGV: the node, for how long, how long keys are kept, a life for what has none, how many rooms are looked at, what
-- keys begin with, then what is kept of a room: all of it has one time to live, that of the first
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_then = redis.call('ZSCORE', KEYS[1], ARGV[1])
-- What is there by another type is nobody's, and would be in the way of all that this node does.
if redis.call('TYPE', KEYS[2]).ok ~= 'set' then redis.call('DEL', KEYS[2]) end
local rooms = redis.call('SRANDMEMBER', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
for _, room in ipairs(rooms) do
  local key = ARGV[6] .. '{' .. room .. '}:'
  if redis.call('PTTL', key .. ARGV[7]) < ARGV[3] / 2 then
    for i = 7, #ARGV do redis.call('PEXPIRE', key .. ARGV[i], ARGV[3]) end
  end
end
redis.call('SET', KEYS[3], ARGV[4], 'NX')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return { until_then and tonumber(until_then) > now and 1 or 0, server .. '/' .. redis.call('GET', KEYS[3]) }
