-- Renews a lease, also an expired one that nobody has claimed. ARGV: id, token, lease_ms
local id, token, lease_ms = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
redis.call('ZADD', key('leases'), string.format('%.0f', tonumber(now) + tonumber(lease_ms)), id)
local wish = redis.call('HGET', job_key(id), 'wish')
if wish == 'checkpoint' then redis.call('HSET', job_key(id), 'wish', '') end
return {'OK', wish, tostring(redis.call('ZCARD', key('waiting')))}
