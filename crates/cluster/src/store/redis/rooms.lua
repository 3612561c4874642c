-- A page of the rooms.
-- KEYS: all rooms     ARGV: behind which, how many, what keys begin with
local answer, from, most = {}, ARGV[1], tonumber(ARGV[2])
repeat
  local page = redis.call('ZRANGEBYLEX', KEYS[1], from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, most - #answer)
  for _, room in ipairs(page) do
    local key = ARGV[3] .. '{' .. room .. '}:'
    local head = redis.call('HGET', key .. 'room', 'head')
    if head then
      answer[#answer + 1] = { room, head, redis.call('ZCARD', key .. 'names'), redis.call('HLEN', key .. 'hands') }
    else
      redis.call('ZREM', KEYS[1], room)
    end
    from = room
  end
until #page == 0 or #answer == most
return answer
