-- Queues requests for a model version. Returns how many were taken; the rest found the queue full.
-- ARGV: model version, max requests, max bytes, requests ...
local model, max_requests, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local waiting = redis.call('LLEN', queue_key(model)) + redis.call('LLEN', alone_key(model))
local bytes = tonumber(redis.call('GET', bytes_key(model)) or '0')
local before, taken, now = bytes, 0, clock()

local function is_full(item) return waiting >= max_requests or bytes + #item > max_bytes end

-- Where nobody takes, the oldest wait past their deadline: they must not keep others out.
local function drop_late()
  local item = redis.call('LINDEX', queue_key(model), 0)
  while item and deadline_of(item) <= now do
    redis.call('LPOP', queue_key(model))
    waiting, bytes = waiting - 1, bytes - #item
    item = redis.call('LINDEX', queue_key(model), 0)
  end
end

for i = 4, #ARGV do
  if is_full(ARGV[i]) then drop_late() end
  if is_full(ARGV[i]) then break end
  redis.call('RPUSH', queue_key(model), ARGV[i])
  waiting, bytes, taken = waiting + 1, bytes + #ARGV[i], taken + 1
end
if bytes ~= before then redis.call('INCRBY', bytes_key(model), bytes - before) end
if taken > 0 then
  wake(model)
  keep(model)
end
redis.call('ZADD', key('wanted'), now, model)
-- Nobody serves it yet: wake a supervisor.
if redis.call('EXISTS', key('slot', model, '0')) == 0 and redis.call('LLEN', key('wanted-wake')) < 100 then
  redis.call('RPUSH', key('wanted-wake'), model)
  redis.call('PEXPIRE', key('wanted-wake'), KEEP_MS)
end
return taken
