-- Takes a free serving slot of a model version for an instance. Returns 1, or 0 where all are held.
-- ARGV: model version, slots, instance, lease_ms
local model, instance, lease_ms = ARGV[1], ARGV[3], ARGV[4]
for slot = 0, tonumber(ARGV[2]) - 1 do
  if redis.call('SET', key('slot', model, slot), instance, 'NX', 'PX', lease_ms) then
    redis.call('HSET', key('instances'), instance, model)
    redis.call('HSET', key('instance-slots'), instance, slot)
    return 1
  end
end
return 0
