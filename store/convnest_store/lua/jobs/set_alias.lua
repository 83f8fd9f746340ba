-- ARGV: model, alias, version ('' removes the alias)
local model, alias, version = unpack(ARGV)
if redis.call('EXISTS', key('model', model)) == 0 then
  return fail('NOT_FOUND', 'model ' .. model .. ' does not exist')
end
local aliases = key('model', model, 'aliases')
if version == '' then
  if redis.call('HDEL', aliases, alias) == 0 then
    return fail('NOT_FOUND', 'model ' .. model .. ' has no alias ' .. alias)
  end
else
  if redis.call('HEXISTS', key('model', model, 'versions'), version) == 0 then
    return fail('NOT_FOUND', 'model ' .. model .. ' has no version ' .. version)
  end
  if redis.call('HLEN', aliases) >= MAX_ALIASES and redis.call('HEXISTS', aliases, alias) == 0 then
    return fail('QUOTA_EXCEEDED', 'model ' .. model .. ' has ' .. MAX_ALIASES .. ' aliases already; remove one first')
  end
  redis.call('HSET', aliases, alias, version)
end
return {'OK', unpack(redis.call('HGETALL', aliases))}
