-- Puts a running job back into the queue. ARGV: id, token, reason, error (JSON or ''), counts ('1' or '0')
local id, token, reason, error, counts = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
refused = requeue(id, reason, error, counts == '1')
if refused then return refused end
return {'OK', redis.call('HGET', job_key(id), 'state')}
