-- Gives a training job the version number it will publish under; the same at every attempt. ARGV: id, token, model
local id, token, model = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
local version = redis.call('HGET', job_key(id), 'version')
if not version then
  version = tostring(redis.call('HINCRBY', key('versions'), model, 1))
  redis.call('HSET', job_key(id), 'version', version)
end
return {'OK', version, now}
