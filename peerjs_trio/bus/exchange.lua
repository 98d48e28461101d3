-- All that a node asks of Redis at one time, in one call: nobody sees half of it done.
--
-- KEYS[1]  the hash tag all keys begin with, so that they are on one machine of a Cluster
-- ARGV     node, lease, expire, and five limits (see the first lines of code), then requests:
--          a name and its arguments, one after the other
-- Replies  one for each request, in order
--
-- Keys, behind the tag:
--   :ids       hash    id -> "node nonce digest" of whoever is registered
--   :nodes     zset    node -> when its lease ends; what a node without one says is void
--   :at:NODE   set     the ids at a node, to clean up behind it
--   :wait:ID   list    messages for an absent id: {number, time, src, text} in MessagePack
--   :due       zset    absent id -> when its messages are given up
--   :sizes     hash    absent id -> bytes that wait for it
--   :sums      hash    "messages" and "bytes" that wait in all
--   :number    string  of the last message that had to wait, or of whoever joined a room
--   :room:ROOM zset    the ids in a room -> numbers, in order of joining
--   :in:ID     set     the rooms an id is in
--   :node:NODE         the channel that a node listens to
-- Times are in milliseconds of Redis's own clock.

local tag, me = KEYS[1], ARGV[1]
local lease, expire = tonumber(ARGV[2]), tonumber(ARGV[3])
local max_messages, max_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local max_ids, max_messages_in_all = tonumber(ARGV[6]), tonumber(ARGV[7])
local max_bytes_in_all = tonumber(ARGV[8])

local call = redis.call
local ids, nodes, due = tag .. ':ids', tag .. ':nodes', tag .. ':due'
local sizes, sums, number = tag .. ':sizes', tag .. ':sums', tag .. ':number'

-- Whatever is left when the last node is gone goes an hour later.
local FORGOTTEN = 3600 * 1000
-- And a room that nobody has asked about for a day.
local FORGOTTEN_ROOM = 24 * FORGOTTEN
-- How long whoever gives messages up has for telling their senders, before another does.
local EXPIRING = 5 * 1000
-- At a time; whoever gets that many asks again. A script holds up everybody else.
local SWEPT_IDS, SWEPT_LISTS = 1000, 20

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local leases = {}
local function is_alive(node)
  if leases[node] == nil then
    local ends = call('ZSCORE', nodes, node)
    leases[node] = ends and tonumber(ends) > now or false
  end
  return leases[node]
end

-- Node, nonce and digest of whoever has an id; the node may be gone.
local function holder(id)
  local value = call('HGET', ids, id)
  if value then
    return string.match(value, '^(%S+) (%S+) (%S+)$')
  end
end

local function home(id)
  local node = holder(id)
  return node and is_alive(node) and node
end

local function tell(node, text)
  return call('PUBLISH', tag .. ':node:' .. node, text)
end

local function park(src, dst, text)
  local list, size = tag .. ':wait:' .. dst, #text
  local count = call('LLEN', list)
  local totals = call('HMGET', sums, 'messages', 'bytes')
  if count >= max_messages
    or (count == 0 and call('ZCARD', due) >= max_ids)
    or (tonumber(call('HGET', sizes, dst)) or 0) + size > max_bytes
    or (tonumber(totals[1]) or 0) >= max_messages_in_all
    or (tonumber(totals[2]) or 0) + size > max_bytes_in_all
  then
    return 0
  end
  call('RPUSH', list, cmsgpack.pack({call('INCR', number), now, src, text}))
  call('PEXPIRE', list, FORGOTTEN)
  if count == 0 then
    call('ZADD', due, now + expire, dst)
  end
  call('HINCRBY', sizes, dst, size)
  call('HINCRBY', sums, 'messages', 1)
  call('HINCRBY', sums, 'bytes', size)
  return 1
end

local function leave_rooms(id)
  for _, room in ipairs(call('SMEMBERS', tag .. ':in:' .. id)) do
    call('ZREM', tag .. ':room:' .. room, id)
  end
  call('DEL', tag .. ':in:' .. id)
end

-- The lease of this node, what is left of those that are gone, and messages to give up:
-- {had a lease, ask again, {dst, number of the last message, src, its node, src, its node …} …}
local function tend()
  local had_lease = is_alive(me) and 1 or 0
  call('ZADD', nodes, now + lease, me)
  leases[me] = nil
  for _, key in ipairs({ids, nodes, due, sizes, sums, number, tag .. ':at:' .. me}) do
    call('PEXPIRE', key, FORGOTTEN)
  end
  tell(me, 'T')
  local again = 0
  local gone = call('ZRANGEBYSCORE', nodes, '-inf', now, 'LIMIT', 0, 1)[1]
  if gone then
    again = 1
    local left = call('SPOP', tag .. ':at:' .. gone, SWEPT_IDS)
    for _, id in ipairs(left) do
      if holder(id) == gone then
        call('HDEL', ids, id)
        leave_rooms(id)
      end
    end
    if #left < SWEPT_IDS then
      call('ZREM', nodes, gone)
    end
  end
  local reply = {had_lease, again}
  local lists = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, SWEPT_LISTS)
  if #lists == SWEPT_LISTS then
    reply[2] = 1
  end
  for _, dst in ipairs(lists) do
    -- It is done when its senders have been told (forget), and until then somebody's to do.
    call('ZADD', due, now + EXPIRING, dst)
    local last, seen, expiry = 0, {}, {dst, 0}
    for _, packed in ipairs(call('LRANGE', tag .. ':wait:' .. dst, 0, -1)) do
      local message = cmsgpack.unpack(packed)
      local src = message[3]
      last = message[1]
      if not seen[src] then
        seen[src] = true
        local node = home(src)
        if node then
          expiry[#expiry + 1] = src
          expiry[#expiry + 1] = node
        end
      end
    end
    expiry[2] = last
    reply[#reply + 1] = expiry
  end
  return reply
end

-- Take an id: {0 or 1, whether messages wait for it}. Whoever had it with the same token is told,
-- but one who asks again (`again`) for what was its own gives way to whoever came later.
local function claim(id, nonce, digest, again)
  local node, older, theirs = holder(id)
  if node and older ~= nonce then
    if is_alive(node) and (theirs ~= digest or again == '1') then
      return {0, 0}
    end
    if theirs ~= digest then
      leave_rooms(id)
    end
    if node ~= me then
      tell(node, 'M' .. older .. ' ' .. id)
    end
  end
  if node and node ~= me then
    call('SREM', tag .. ':at:' .. node, id)
  end
  call('HSET', ids, id, me .. ' ' .. nonce .. ' ' .. digest)
  call('SADD', tag .. ':at:' .. me, id)
  return {1, call('EXISTS', tag .. ':wait:' .. id)}
end

local function release(id, nonce)
  local node, current = holder(id)
  if node == me and current == nonce then
    call('HDEL', ids, id)
    call('SREM', tag .. ':at:' .. me, id)
    leave_rooms(id)
  end
  return 1
end

-- Where a message has to go: a node, or 1: it waits here; 0: there is no room for it; -1: it is
-- for nobody. With how == 'wait' it waits even for one who is registered: whose node did not
-- take it, and is told to fetch it. With how == 'never' it does not wait.
local function route(src, dst, how, text)
  local node = home(dst)
  if how == 'never' then
    return node and node ~= me and node or -1
  end
  if node and node ~= me and how ~= 'wait' then
    return node
  end
  local parked = park(src, dst, text)
  if node and parked == 1 then
    tell(node, 'F' .. dst)
  end
  return parked
end

-- What waits for an id of this node: number, text, number, text …
local function fetch(id)
  local reply = {}
  if home(id) == me then
    for _, packed in ipairs(call('LRANGE', tag .. ':wait:' .. id, 0, -1)) do
      local message = cmsgpack.unpack(packed)
      reply[#reply + 1] = message[1]
      reply[#reply + 1] = message[4]
    end
  end
  return reply
end

-- The messages for `dst` up to this number have been delivered or given up.
local function forget(dst, last)
  local list = tag .. ':wait:' .. dst
  local first = call('LINDEX', list, 0)
  while first do
    local message = cmsgpack.unpack(first)
    if message[1] > tonumber(last) then
      call('ZADD', due, message[2] + expire, dst)
      return 1
    end
    call('LPOP', list)
    call('HINCRBY', sizes, dst, 0 - #message[4])
    call('HINCRBY', sums, 'messages', -1)
    call('HINCRBY', sums, 'bytes', 0 - #message[4])
    first = call('LINDEX', list, 0)
  end
  call('ZREM', due, dst)
  call('HDEL', sizes, dst)
  if call('ZCARD', due) == 0 then
    call('DEL', sums)
  end
  return 1
end

-- Everybody who is registered.
local function everybody()
  local reply, all = {}, call('HGETALL', ids)
  for i = 1, #all, 2 do
    if is_alive(string.match(all[i + 1], '^%S+')) then
      reply[#reply + 1] = all[i]
    end
  end
  return reply
end

-- One of the four calls about rooms, as peerjs_proto/rooms.py answers them on one server: the name
-- of a refusal, or {'', was in the room, member …}.
local function room(action, id, digest, name, is_open, max_members, max_rooms)
  local node, _, theirs = holder(id)
  if not (node and is_alive(node)) then
    return {'UNKNOWN'}
  elseif theirs ~= digest then
    return {'BAD_TOKEN'}
  end
  local members, rooms = tag .. ':room:' .. name, tag .. ':in:' .. id
  local was = call('ZSCORE', members, id) and 1 or 0
  if action == 'leave' then
    call('ZREM', members, id)
    call('SREM', rooms, name)
    return {'', was}
  end
  local reply = {'', was}
  for _, member in ipairs(call('ZRANGE', members, 0, -1)) do
    if home(member) then
      reply[#reply + 1] = member
    else
      call('ZREM', members, member)
    end
  end
  if action == 'join' then
    if is_open == '0' then
      return {'CLOSED'}
    elseif was == 0 then
      if #reply - 2 >= tonumber(max_members) then
        return {'FULL'}
      elseif call('SCARD', rooms) >= tonumber(max_rooms) then
        return {'TOO_MANY'}
      end
      call('ZADD', members, call('INCR', number), id)
      call('SADD', rooms, name)
      reply[#reply + 1] = id
    end
  elseif is_open == '0' and was == 0 then
    reply = {'', 0}
  end
  call('PEXPIRE', members, FORGOTTEN_ROOM)
  call('PEXPIRE', rooms, FORGOTTEN_ROOM)
  return reply
end

-- This node stops: its lease ends now.
local function leave()
  call('ZADD', nodes, 0, me)
  return 1
end

local requests = {
  tend = {tend, 0},
  claim = {claim, 4},
  release = {release, 2},
  route = {route, 4},
  publish = {tell, 2},
  fetch = {fetch, 1},
  forget = {forget, 2},
  everybody = {everybody, 0},
  room = {room, 7},
  leave = {leave, 0},
}

local replies, i = {}, 9
while i <= #ARGV do
  local answer, count = unpack(requests[ARGV[i]])
  replies[#replies + 1] = answer(unpack(ARGV, i + 1, i + count))
  i = i + 1 + count
end
return replies
