-- Re-queues jobs whose lease ran out. Every worker runs this; doing it twice does nothing more.
-- Nothing is reaped within one lease of Redis' start: holders could not renew while it was away.
-- ARGV: lease_ms
local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
local reaped = {}
if uptime * 1000 > tonumber(ARGV[1]) then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. now, 'LIMIT', 0, 100)) do
    local worker = redis.call('HGET', job_key(id), 'worker')
    local error = cjson.encode({reason = 'WORKER_LOST',
      message = 'worker ' .. worker .. ' gave no sign of life for ' .. ARGV[1] .. ' ms', stderr_tail = '', field = ''})
    requeue(id, 'worker lost', error, true)
    reaped[#reaped + 1] = id
  end
end
return {'OK', tostring(redis.call('ZCARD', key('waiting'))), unpack(reaped)}
