-- Queues requests for a model version. Returns how many were taken; the rest found the queue full.
-- ARGV: model version, max requests, max bytes, requests ...
local model, max_requests, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local waiting = redis.call('LLEN', queue_key(model)) + redis.call('LLEN', alone_key(model))
local bytes = tonumber(redis.call('GET', bytes_key(model)) or '0')
local taken, added = 0, 0
for i = 4, #ARGV do
  if waiting + taken >= max_requests or bytes + added + #ARGV[i] > max_bytes then break end
  redis.call('RPUSH', queue_key(model), ARGV[i])
  taken, added = taken + 1, added + #ARGV[i]
end
if taken > 0 then
  redis.call('INCRBY', bytes_key(model), added)
  wake(model)
  keep(model)
end
redis.call('ZADD', key('wanted'), clock(), model)
-- Nobody serves it yet: wake a supervisor.
if redis.call('EXISTS', key('slot', model, '0')) == 0 and redis.call('LLEN', key('wanted-wake')) < 100 then
  redis.call('RPUSH', key('wanted-wake'), model)
  redis.call('PEXPIRE', key('wanted-wake'), KEEP_MS)
end
return taken
