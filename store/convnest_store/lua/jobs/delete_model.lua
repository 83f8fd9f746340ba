-- Removes a model, or one version of it; returns the manifests of what went. ARGV: model, version ('' for all)
local model, version = ARGV[1], ARGV[2]
local versions, aliases = key('model', model, 'versions'), key('model', model, 'aliases')
if redis.call('EXISTS', key('model', model)) == 0 then
  return fail('NOT_FOUND', 'model ' .. model .. ' does not exist')
end
local gone = {'OK'}
if version == '' then
  for _, manifest in ipairs(redis.call('HVALS', versions)) do gone[#gone + 1] = manifest end
else
  local manifest = redis.call('HGET', versions, version)
  if not manifest then return fail('NOT_FOUND', 'model ' .. model .. ' has no version ' .. version) end
  local pairs_ = redis.call('HGETALL', aliases)
  for i = 1, #pairs_, 2 do
    if pairs_[i + 1] == version then
      return fail('FAILED_PRECONDITION', 'alias ' .. pairs_[i] .. ' of model ' .. model .. ' points to version ' .. version)
    end
  end
  redis.call('HDEL', versions, version)
  gone[2] = manifest
end
if version == '' or redis.call('HLEN', versions) == 0 then
  redis.call('DEL', key('model', model), versions, aliases)
  redis.call('ZREM', key('models'), model)
end
return gone
