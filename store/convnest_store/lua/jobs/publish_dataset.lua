-- The commit of an ingest job: pointer and state together. ARGV: id, token, name, record (JSON), result (JSON)
local id, token, name, record, result = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
if redis.call('EXISTS', key('dataset', name)) == 1 then
  return fail('ALREADY_EXISTS', 'dataset ' .. name .. ' exists already')
end
redis.call('HSET', key('dataset', name), 'record', record, 'created_ms', now)
redis.call('ZADD', key('datasets'), 0, name)
redis.call('HSET', job_key(id), 'result', result)
return set_state(id, 'SUCCEEDED', '', '') or {'OK'}
