-- Instances that hold no slot any more though nobody returned what they had taken: their worker is gone.
-- Returns instance, model version, and so on.
local lost = {}
local all = redis.call('HGETALL', key('instances'))
for i = 1, #all, 2 do
  local instance, model = all[i], all[i + 1]
  local slot = redis.call('HGET', key('instance-slots'), instance)
  if not slot or redis.call('GET', key('slot', model, slot)) ~= instance then
    lost[#lost + 1] = instance
    lost[#lost + 1] = model
  end
end
return lost
