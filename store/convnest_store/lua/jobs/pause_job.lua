-- ARGV: id
local id = ARGV[1]
local state, wish = unpack(redis.call('HMGET', job_key(id), 'state', 'wish'))
if not state then return fail('NOT_FOUND', 'job ' .. id .. ' does not exist') end
if state == 'RUNNING' then
  if wish == 'cancel' then return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is being cancelled') end
  redis.call('HSET', job_key(id), 'wish', 'pause')
  return {'OK'}
end
if state ~= 'QUEUED' then
  return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. state .. ' and cannot be paused')
end
return set_state(id, 'PAUSED', 'paused', '') or {'OK'}
