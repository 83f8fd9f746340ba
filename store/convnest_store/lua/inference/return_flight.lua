-- Gives back what an ended instance had taken, each to run alone. One that was alone already when its process died is
-- refused; where the whole worker died the cause is unknown, and it gets a few more tries.
-- Returns how many were returned and how many refused. ARGV: instance, mode (MODE_CRASHED or MODE_LOST)
local instance, mode = ARGV[1], ARGV[2]
local model, flight = redis.call('HGET', key('instances'), instance), key('flight', instance)
local returned, refused, bytes = 0, 0, 0
if model then
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
  if returned > 0 then
    redis.call('INCRBY', bytes_key(model), bytes)
    wake(model)
    keep(model)
    redis.call('ZADD', key('wanted'), clock(), model)
    redis.call('RPUSH', key('wanted-wake'), model)
    redis.call('PEXPIRE', key('wanted-wake'), KEEP_MS)
  end
end
redis.call('DEL', flight)
redis.call('HDEL', key('instances'), instance)
return {returned, refused}
