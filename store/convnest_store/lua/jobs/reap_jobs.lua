-- Re-queues jobs whose lease ran out. Every worker runs this; doing it twice does nothing more.
-- Nothing is reaped within one lease of Redis' coming back, from a restart or a silence: holders could not renew while
-- it was away. That nobody looked for a while is how it is known to have been. ARGV: lease_ms, patience_ms
local lease_ms, patience_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local watch = key('reaping')
local looked, since, last_run = unpack(redis.call('HMGET', watch, 'looked_ms', 'since_ms', 'run'))
if last_run ~= run or now - looked > patience_ms then since = now end
redis.call('HSET', watch, 'looked_ms', now, 'since_ms', since, 'run', run)
local reaped = {}
if now - since > lease_ms then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    local worker = redis.call('HGET', job_key(id), 'worker')
    local error = cjson.encode({reason = 'WORKER_LOST',
      message = 'worker ' .. worker .. ' gave no sign of life for ' .. ARGV[1] .. ' ms', stderr_tail = '', field = ''})
    requeue(id, 'worker lost', error, true)
    reaped[#reaped + 1] = id
  end
end
return {'OK', tostring(redis.call('ZCARD', key('waiting'))), unpack(reaped)}
