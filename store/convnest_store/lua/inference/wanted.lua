-- Model versions that somebody asked for in the last while and that have a free slot. ARGV: slots, since_ms
local now, free = clock(), {}
redis.call('ZREMRANGEBYSCORE', key('wanted'), '-inf', now - tonumber(ARGV[2]))
for _, model in ipairs(redis.call('ZRANGE', key('wanted'), 0, -1)) do
  for slot = 0, tonumber(ARGV[1]) - 1 do
    if redis.call('EXISTS', key('slot', model, slot)) == 0 then free[#free + 1] = model; break end
  end
end
return free
