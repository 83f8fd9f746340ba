-- Ends a running job that publishes nothing. ARGV: id, token, state, reason, error (JSON or ''), result (JSON or '')
local id, token, state, reason, error, result = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
if error ~= '' then
  error = note_failure(id, error)
  redis.call('HSET', job_key(id), 'error', error)
end
if result ~= '' then redis.call('HSET', job_key(id), 'result', result) end
return set_state(id, state, reason, error) or {'OK'}
