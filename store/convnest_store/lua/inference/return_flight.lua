-- The end of an instance: frees its slot and gives back what it had taken, each request to run alone. One that was
-- alone already when its process died is refused; where the whole worker died the cause is unknown, and it gets a few
-- more tries. Returns how many were returned and how many refused.
-- ARGV: model version, instance, mode (MODE_CRASHED or MODE_LOST)
local model, instance, mode = ARGV[1], ARGV[2], ARGV[3]
local flight = key('flight', instance)
local returned, refused, bytes = 0, 0, 0
for _, item in ipairs(redis.call('LRANGE', flight, 0, -1)) do
  local deaths = deaths_of(item) + 1
  if (mode == MODE_CRASHED and deaths >= 2) or deaths > MAX_DEATHS then
    refuse(item, STATUS_POISON, 'the process that worked on this image alone died')
    refused = refused + 1
  else
    redis.call('RPUSH', alone_key(model), with_deaths(item, deaths))
    returned, bytes = returned + 1, bytes + #item
  end
end
local slot = redis.call('HGET', key('instance-slots'), instance)
if slot and redis.call('GET', key('slot', model, slot)) == instance then redis.call('DEL', key('slot', model, slot)) end
if returned > 0 then
  redis.call('INCRBY', bytes_key(model), bytes)
  wake(model)
  keep(model)
  redis.call('ZADD', key('wanted'), clock(), model)
  redis.call('RPUSH', key('wanted-wake'), model)
  redis.call('PEXPIRE', key('wanted-wake'), KEEP_MS)
end
redis.call('DEL', flight)
redis.call('HDEL', key('instances'), instance)
redis.call('HDEL', key('instance-slots'), instance)
return {returned, refused}
