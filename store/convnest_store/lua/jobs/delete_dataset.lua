-- ARGV: name
local name = ARGV[1]
local record = redis.call('HGET', key('dataset', name), 'record')
if not record then return fail('NOT_FOUND', 'dataset ' .. name .. ' does not exist') end
local users = redis.call('SMEMBERS', key('dataset', name, 'jobs'))
if #users > 0 then
  return fail('FAILED_PRECONDITION', 'dataset ' .. name .. ' is used by job ' .. users[1]
    .. (#users > 1 and (' and ' .. (#users - 1) .. ' more') or ''))
end
redis.call('DEL', key('dataset', name))
redis.call('ZREM', key('datasets'), name)
return {'OK', record}
