-- Gives the best waiting job to a worker. ARGV: worker, nonce, lease_ms, fingerprint, patience_ms
-- A job that has begun prefers a worker with its fingerprint, and waits for one for a while.
local worker, nonce, lease_ms, fingerprint, patience_ms = unpack(ARGV)
for _, id in ipairs(redis.call('ZRANGE', key('waiting'), 0, 49)) do
  local job = job_key(id)
  local theirs, queued_ms, checkpoint = unpack(redis.call('HMGET', job, 'fingerprint', 'queued_ms', 'checkpoint'))
  local foreign = checkpoint and theirs and theirs ~= fingerprint
  if not foreign or tonumber(now) - tonumber(queued_ms) >= tonumber(patience_ms) then
    local attempt = redis.call('HINCRBY', job, 'attempt', 1)
    local token = attempt .. ':' .. nonce
    redis.call('HSET', job, 'worker', worker)
    local refused = set_state(id, 'RUNNING', foreign and 'on another kind of machine: no longer bit-exact' or '', '')
    if refused then return refused end
    redis.call('HSET', job, 'token', token, 'worker', worker, 'fingerprint', fingerprint)
    redis.call('HSETNX', job, 'started_ms', now)
    redis.call('ZADD', key('leases'), string.format('%.0f', tonumber(now) + tonumber(lease_ms)), id)
    return {'OK', id, token}
  end
end
return {'OK', '', ''}
