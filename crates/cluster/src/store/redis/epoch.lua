-- An epoch that nobody was given before.
-- KEYS: the last one     ARGV: a higher one than this
local epoch = math.max(redis.call('INCR', KEYS[1]), ARGV[1] + 1)
redis.call('SET', KEYS[1], epoch)
return epoch
