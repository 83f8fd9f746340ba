-- ARGV: id, token, then kind and payload (JSON) of each event
local id, token = ARGV[1], ARGV[2]
local refused = check_token(id, token)
if refused then return refused end
for i = 3, #ARGV, 2 do
  emit(id, ARGV[i], ARGV[i + 1])
  if ARGV[i] == 'progress' then redis.call('HSET', job_key(id), 'progress', ARGV[i + 1]) end
end
return {'OK'}
