-- Points the job to a new checkpoint. The one before stays, in case the new one proves unreadable; the one before
-- that is returned, for its blob to be deleted. ARGV: id, token, checkpoint (JSON), event (JSON)
local id, token, checkpoint, event = unpack(ARGV)
local refused = check_token(id, token)
if refused then return refused end
local latest, previous = unpack(redis.call('HMGET', job_key(id), 'checkpoint', 'previous_checkpoint'))
-- Told twice, because the first answer was lost.
if latest == checkpoint then return {'OK', ''} end
redis.call('HSET', job_key(id), 'checkpoint', checkpoint, 'previous_checkpoint', latest or '')
emit(id, 'checkpoint', event)
return {'OK', previous or ''}
