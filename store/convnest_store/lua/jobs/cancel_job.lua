-- ARGV: id
local id = ARGV[1]
local state = redis.call('HGET', job_key(id), 'state')
if not state then return fail('NOT_FOUND', 'job ' .. id .. ' does not exist') end
if state == 'RUNNING' then
  redis.call('HSET', job_key(id), 'wish', 'cancel')
  return {'OK'}
end
if next(TRANSITIONS[state]) == nil then
  return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. state .. ' already')
end
return set_state(id, 'CANCELLED', 'cancelled', '') or {'OK'}
