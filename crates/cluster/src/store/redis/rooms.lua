-- A page of the rooms. A key of another type than it must be is no part of its room, and hides no other: in place of
-- the head stands what is wrong.
-- KEYS: all rooms     ARGV: behind which, how many, what keys begin with
local function ask(...)
  local answer = redis.pcall(...)
  return type(answer) == 'table' and answer.err or answer
end
local answer, from, most = {}, ARGV[1], tonumber(ARGV[2])
repeat
  local page = redis.call('ZRANGEBYLEX', KEYS[1], from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, most - #answer)
  for _, room in ipairs(page) do
    local key = ARGV[3] .. '{' .. room .. '}:'
    local head = ask('HGET', key .. 'room', 'head')
    if head then
      local names, hands = ask('ZCARD', key .. 'names'), ask('HLEN', key .. 'hands')
      for _, count in ipairs({ names, hands }) do
        if type(count) ~= 'number' then head = count end
      end
      answer[#answer + 1] = { room, head, tonumber(names) or 0, tonumber(hands) or 0 }
    else
      redis.call('ZREM', KEYS[1], room)
    end
    from = room
  end
until #page == 0 or #answer == most
return answer
