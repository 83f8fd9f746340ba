-- The commit of a training job: pointer, version number and state together.
-- ARGV: id, token, model, version, manifest (JSON), result (JSON)
local id, token, model, version, manifest, result = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
redis.call('HSETNX', key('model', model), 'created_ms', now)
redis.call('HSET', key('model', model, 'versions'), version, manifest)
redis.call('ZADD', key('models'), 0, model)
redis.call('HSET', job_key(id), 'result', result)
return set_state(id, 'SUCCEEDED', '', '') or {'OK'}
