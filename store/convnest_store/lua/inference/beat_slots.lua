-- Renews the slots of a worker's instances, also ones that ran out or that a restart of Redis forgot, where nobody else
-- has taken them. Returns the instances whose slot another one holds. ARGV: lease_ms, then model version, instance ...
local lost = {}
for i = 2, #ARGV, 2 do
  local model, instance = ARGV[i], ARGV[i + 1]
  local slot = redis.call('HGET', key('instance-slots'), instance) or '0'
  local holder = redis.call('GET', key('slot', model, slot))
  if holder and holder ~= instance then
    lost[#lost + 1] = instance
  else
    redis.call('SET', key('slot', model, slot), instance, 'PX', ARGV[1])
    redis.call('HSET', key('instances'), instance, model)
    redis.call('HSET', key('instance-slots'), instance, slot)
  end
end
return lost
