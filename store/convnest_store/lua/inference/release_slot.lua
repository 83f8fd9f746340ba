-- ARGV: model version, instance
local model, instance = ARGV[1], ARGV[2]
local slot = redis.call('HGET', key('instance-slots'), instance)
if slot and redis.call('GET', key('slot', model, slot)) == instance then redis.call('DEL', key('slot', model, slot)) end
redis.call('HDEL', key('instance-slots'), instance)
return 1
