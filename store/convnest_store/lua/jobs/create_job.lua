-- ARGV: id, record (JSON object of strings), request_id, spec_digest, max_active, max_records
local id, record, request_id, digest = ARGV[1], cjson.decode(ARGV[2]), ARGV[3], ARGV[4]

if request_id ~= '' then
  local seen = redis.call('GET', key('request', request_id))
  if seen then
    local seen_id, seen_digest = string.match(seen, '^(%S+) (%S+)$')
    if seen_digest ~= digest then
      return fail('ALREADY_EXISTS', 'request_id ' .. request_id .. ' was used for another request')
    end
    if redis.call('EXISTS', job_key(seen_id)) == 1 then return {'OK', seen_id, '0'} end
  end
end

local active = redis.call('SCARD', key('active'))
if active >= tonumber(ARGV[5]) then
  return fail('QUOTA_EXCEEDED', active .. ' jobs wait or run; at most ' .. ARGV[5] .. ' are allowed')
end
local uses, makes = record.uses_dataset, record.makes_dataset
if uses ~= '' then
  if redis.call('EXISTS', key('dataset', uses)) == 0 then
    return fail('NOT_FOUND', 'dataset ' .. uses .. ' does not exist')
  end
  redis.call('SADD', key('dataset', uses, 'jobs'), id)
end
if makes ~= '' then
  if redis.call('EXISTS', key('dataset', makes)) == 1 then
    return fail('ALREADY_EXISTS', 'dataset ' .. makes .. ' exists already')
  end
  if redis.call('HSETNX', key('reserved'), makes, id) == 0 then
    return fail('ALREADY_EXISTS', 'dataset ' .. makes .. ' is being made by another job')
  end
end

local job = job_key(id)
for field, value in pairs(record) do redis.call('HSET', job, field, value) end
redis.call('HSET', job, 'id', id, 'state', 'QUEUED', 'created_ms', now, 'queued_ms', now,
  'attempt', 0, 'failed_attempts', 0, 'seq', 0, 'token', '', 'worker', '', 'wish', '', 'failures', '[]')
redis.call('SADD', key('active'), id)
redis.call('ZADD', key('jobs'), 0, id)
redis.call('ZADD', key('jobs', 'QUEUED'), 0, id)
redis.call('ZADD', key('waiting'), waiting_score(record.priority, now), id)
emit(id, 'state', cjson.encode({state = 'QUEUED', reason = 'accepted', worker = ''}))
if request_id ~= '' then redis.call('SET', key('request', request_id), id .. ' ' .. digest, 'EX', 86400) end

-- The oldest final records go when there are too many.
local excess = redis.call('ZCARD', key('jobs')) - tonumber(ARGV[6])
if excess > 0 then
  for _, old in ipairs(redis.call('ZRANGE', key('jobs'), 0, excess + 100)) do
    if excess <= 0 then break end
    local state = redis.call('HGET', job_key(old), 'state')
    if next(TRANSITIONS[state]) == nil then
      redis.call('ZREM', key('jobs'), old)
      redis.call('ZREM', key('jobs', state), old)
      redis.call('DEL', job_key(old), key('job', old, 'kept'), key('job', old, 'trimmed'))
      excess = excess - 1
    end
  end
end
return {'OK', id, '1'}
