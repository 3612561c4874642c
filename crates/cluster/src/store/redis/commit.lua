-- Compares, and sets all of it or nothing. Knows no rule: what is compared and set was decided elsewhere.
-- What is kept with a number is written "number:value".
-- KEYS: room standing hands people names due changes nodes parties over done, then all rooms, what is due in which,
-- leases
-- ARGV: the commit, the room's id, what keys begin with
local commit = cjson.decode(ARGV[1])
local room_key, standing, hands, people, names, due, changes, nodes, parties, over, done =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local all_rooms, all_due, leases, id, begin = KEYS[12], KEYS[13], KEYS[14], ARGV[2], ARGV[3]

-- Asked a second time, because the first answer was lost.
local before = redis.call('GET', done)
if before then return before end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function text(number) return string.format('%.0f', number) end
local function number_of(value) return value and tonumber(string.match(value, '^%d+')) or 0 end
local function is_as_it_was(key, expected)
  for _, entry in ipairs(expected) do
    if number_of(redis.call('HGET', key, entry[1])) ~= entry[2] then return false end
  end
  return true
end

-- Everything is read before anything is written: what is of a wrong type ends the script here.
local room = redis.call('HMGET', room_key, 'number', 'version', 'door', 'head')
local tombstone, here, rooms = redis.call('GET', over), redis.call('HLEN', people), redis.call('ZCARD', all_rooms)
redis.call('HLEN', standing)
redis.call('HLEN', hands)
redis.call('ZCARD', names)
redis.call('ZCARD', due)
redis.call('XLEN', changes)
redis.call('ZCARD', all_due)
redis.call('HLEN', parties)
local owners = redis.call('HKEYS', nodes)

for i, owner in ipairs(commit.lapsed) do
  local until_then = redis.call('ZSCORE', leases, owner)
  if until_then and tonumber(until_then) > now then return { 'alive', i } end
end
if math.abs(now - commit.now) > commit.stale_ms
  or (tonumber(room[3]) or 0) ~= commit.door
  or (commit.head >= 0 and number_of(room[4]) ~= commit.head)
  or not is_as_it_was(standing, commit.compare_standing)
  or not is_as_it_was(hands, commit.compare_hands)
  or not is_as_it_was(people, commit.compare_people)
  or (commit.empty and here > 0)
then
  local function current(key, expected)
    local entries = {}
    for i, entry in ipairs(expected) do entries[i] = redis.call('HGET', key, entry[1]) end
    return entries
  end
  return {
    'changed', now, room[2] or number_of(tombstone), room[3] or 0, room[4],
    current(standing, commit.compare_standing),
    current(hands, commit.compare_hands),
    current(people, commit.compare_people),
  }
end
if commit.places >= 0 and here >= commit.places then return { 'full' } end
for _, party in ipairs(commit.parties) do
  if (tonumber(redis.call('HGET', parties, party[1])) or 0) >= party[2] then return { 'party_full' } end
end
if not room[4] and rooms >= commit.rooms then return { 'rooms' } end

local last = tonumber(room[1]) or number_of(tombstone)
local version = tonumber(room[2]) or last
local number = math.max(last, commit.above) + 1
local prefix = text(number) .. ':'

local function set(key, entries)
  for _, entry in ipairs(entries) do
    if entry[2] then redis.call('HSET', key, entry[1], prefix .. entry[2]) else redis.call('HDEL', key, entry[1]) end
  end
end
local function set_due(what, at)
  if at then redis.call('ZADD', due, text(at), what) else redis.call('ZREM', due, what) end
end

-- How many of each signaling node are connected, and in which rooms it has any.
local function moved(owner, by)
  local count = redis.call('HINCRBY', nodes, owner, by)
  if count <= 0 then
    redis.call('HDEL', nodes, owner)
    redis.call('SREM', begin .. 'at:' .. owner, id)
  elseif count == by then
    redis.call('SADD', begin .. 'at:' .. owner, id)
    redis.call('PEXPIRE', begin .. 'at:' .. owner, commit.keep_ms)
  end
end

local function counted(party, by)
  if redis.call('HINCRBY', parties, party, by) <= 0 then redis.call('HDEL', parties, party) end
end

if commit.clear then
  redis.call('DEL', people, names, hands, due, nodes, parties)
  for _, owner in ipairs(owners) do redis.call('SREM', begin .. 'at:' .. owner, id) end
end
-- A room that is put back is nothing of what was there.
if commit.above > 0 then redis.call('DEL', standing) end
redis.call('HSET', room_key, 'number', text(number))
if commit.news then redis.call('HSET', room_key, 'version', text(number)) end
if commit.opens then redis.call('HSET', room_key, 'door', text(number)) end
if commit.set_head then
  redis.call('HSET', room_key, 'head', prefix .. commit.set_head)
  set_due('h', commit.head_due)
end
set(standing, commit.standing)
set(hands, commit.hands)
set(people, commit.people)
for _, person in ipairs(commit.people) do
  if person[2] and person[3] then redis.call('ZADD', names, 0, person[1]) else redis.call('ZREM', names, person[1]) end
  set_due('p' .. person[1], person[4])
  if person[5] ~= person[6] then
    if person[5] then moved(person[5], -1) end
    if person[6] then moved(person[6], 1) end
  end
  if person[7] ~= person[8] then
    if person[7] then counted(person[7], -1) end
    if person[8] then counted(person[8], 1) end
  end
end
if commit.empty_ms >= 0 and redis.call('HLEN', people) == 0 then
  redis.call('ZADD', due, 'NX', text(now + commit.empty_ms), 'e')
else
  redis.call('ZREM', due, 'e')
end
for i, note in ipairs(commit.notes) do
  redis.call('XADD', changes, 'MAXLEN', '~', commit.most_notes, text(number) .. '-' .. (i - 1), 'note', note)
end

if commit.forget then
  redis.call('DEL', room_key, standing, hands, people, names, due, changes, nodes, parties)
  redis.call('SET', over, prefix .. commit.forget, 'PX', commit.tombstone_ms)
  redis.call('ZREM', all_rooms, id)
else
  redis.call('DEL', over)
  redis.call('ZADD', all_rooms, 0, id)
  for _, key in ipairs({ room_key, standing, hands, people, names, due, changes, nodes, parties }) do
    redis.call('PEXPIRE', key, commit.keep_ms)
  end
end

local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if first[2] then redis.call('ZADD', all_due, first[2], id) else redis.call('ZREM', all_due, id) end

local answer = cjson.encode({
  number = number,
  before = version,
  version = commit.news and number or version,
  present = redis.call('ZCARD', names),
})
redis.call('SET', done, answer, 'PX', commit.done_ms)
return answer
