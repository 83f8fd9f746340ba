-- ARGV: id, priority
local id, priority = ARGV[1], ARGV[2]
local state, queued_ms = unpack(redis.call('HMGET', job_key(id), 'state', 'queued_ms'))
if not state then return fail('NOT_FOUND', 'job ' .. id .. ' does not exist') end
if next(TRANSITIONS[state]) == nil then
  return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. state .. ' already')
end
redis.call('HSET', job_key(id), 'priority', priority)
if state == 'QUEUED' then redis.call('ZADD', key('waiting'), waiting_score(priority, queued_ms), id) end
return {'OK'}
