-- ARGV: id
local id = ARGV[1]
local state = redis.call('HGET', job_key(id), 'state')
if not state then return fail('NOT_FOUND', 'job ' .. id .. ' does not exist') end
if next(TRANSITIONS[state]) ~= nil then
  return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. state .. '; cancel it first')
end
redis.call('ZREM', key('jobs'), id)
redis.call('ZREM', key('jobs', state), id)
redis.call('DEL', job_key(id), key('job', id, 'kept'), key('job', id, 'trimmed'))
return {'OK'}
