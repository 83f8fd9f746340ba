-- Moves what waits to the in-flight list of the instance that takes it: one that must run alone, or all that fit a
-- batch. Whoever has gone, or whose deadline is over, is dropped. Returns the time and the requests; time 0 where the
-- instance has lost its slot: what it takes could be returned under its hands.
-- ARGV: model version, instance, max requests, max bytes
local model, instance, max_requests, max_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local slot = redis.call('HGET', key('instance-slots'), instance)
local holder = slot and redis.call('GET', key('slot', model, slot))
if not slot or (holder and holder ~= instance) then
  if redis.call('LLEN', queue_key(model)) + redis.call('LLEN', alone_key(model)) > 0 then wake(model) end
  return {0}
end
local flight, now = key('flight', instance), clock()
local cancelled = redis.call('EXISTS', key('gone')) == 1
local taken, removed, bytes = {now}, 0, 0

-- Whoever takes has answered all it had, or a lost connection kept from it what it had: then it comes again.
while true do
  local item = redis.call('RPOP', flight)
  if not item then break end
  redis.call('LPUSH', deaths_of(item) > 0 and alone_key(model) or queue_key(model), item)
  redis.call('INCRBY', bytes_key(model), #item)
end

local function accept(item)
  removed = removed + #item
  if deadline_of(item) <= now then return end
  if cancelled and redis.call('ZREM', key('gone'), caller_of(item)) == 1 then return end
  redis.call('RPUSH', flight, item)
  taken[#taken + 1] = item
  bytes = bytes + #item
end

while #taken == 1 do
  local item = redis.call('LPOP', alone_key(model))
  if not item then break end
  accept(item)
end
if #taken == 1 then
  while #taken - 1 < max_requests and bytes < max_bytes do
    local item = redis.call('LPOP', queue_key(model))
    if not item then break end
    accept(item)
  end
end
if removed > 0 then redis.call('DECRBY', bytes_key(model), removed) end
if redis.call('LLEN', queue_key(model)) + redis.call('LLEN', alone_key(model)) > 0 then
  wake(model)
  keep(model)
elseif removed > 0 then
  redis.call('DEL', bytes_key(model))
end
return taken
