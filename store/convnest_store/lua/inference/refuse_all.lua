-- Answers everything that waits for a model version with one refusal. ARGV: model version, status, message
local model, status, message = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local refused = 0
for _, list in ipairs({alone_key(model), queue_key(model)}) do
  for _, item in ipairs(redis.call('LRANGE', list, 0, -1)) do
    refuse(item, status, message)
    refused = refused + 1
  end
end
redis.call('DEL', alone_key(model), queue_key(model), bytes_key(model), wake_key(model))
redis.call('ZREM', key('wanted'), model)
return refused
