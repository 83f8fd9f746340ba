-- ARGV: id
local id = ARGV[1]
local state, wish = unpack(redis.call('HMGET', job_key(id), 'state', 'wish'))
if not state then return fail('NOT_FOUND', 'job ' .. id .. ' does not exist') end
if state == 'RUNNING' and wish == 'pause' then
  redis.call('HSET', job_key(id), 'wish', '')
  return {'OK'}
end
if state ~= 'PAUSED' then
  return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. state .. ' and cannot be resumed; only a paused job can')
end
return set_state(id, 'QUEUED', 'resumed', '') or {'OK'}
