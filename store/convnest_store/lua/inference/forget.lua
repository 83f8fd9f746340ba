-- Callers that have gone: what they asked is dropped when its turn comes. ARGV: deadline_ms, caller ...
for i = 1, #ARGV, 2 do redis.call('ZADD', key('gone'), ARGV[i], ARGV[i + 1]) end
-- Past its deadline a request is dropped in any case.
redis.call('ZREMRANGEBYSCORE', key('gone'), '-inf', clock())
redis.call('PEXPIRE', key('gone'), KEEP_MS)
return 1
