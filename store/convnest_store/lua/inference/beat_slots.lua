-- Renews the slots of a worker's instances, also ones that ran out or that a restart of Redis forgot, where nobody else
-- has taken them. Returns the instances whose slot another one holds.
-- ARGV: lease_ms, slots, then model version, instance ...
local lease_ms, slots = ARGV[1], tonumber(ARGV[2])

local function slot_of(model, instance)
  local known = redis.call('HGET', key('instance-slots'), instance)
  if known then
    local holder = redis.call('GET', key('slot', model, known))
    return (not holder or holder == instance) and known
  end
  for slot = 0, slots - 1 do
    if redis.call('EXISTS', key('slot', model, slot)) == 0 then return tostring(slot) end
  end
end

local lost = {}
for i = 3, #ARGV, 2 do
  local model, instance = ARGV[i], ARGV[i + 1]
  local slot = slot_of(model, instance)
  if slot then
    redis.call('SET', key('slot', model, slot), instance, 'PX', lease_ms)
    redis.call('HSET', key('instances'), instance, model)
    redis.call('HSET', key('instance-slots'), instance, slot)
  else
    lost[#lost + 1] = instance
  end
end
return lost
