-- Registers what blob storage holds and the state store has lost. Never overwrites what is there.
-- ARGV: kind ('model' or 'dataset'), name, version ('' for a dataset), record (JSON), created_ms
local kind, name, version, record, created_ms = unpack(ARGV)
if kind == 'dataset' then
  if redis.call('EXISTS', key('dataset', name)) == 1 then return {'OK', '0'} end
  redis.call('HSET', key('dataset', name), 'record', record, 'created_ms', created_ms)
  redis.call('ZADD', key('datasets'), 0, name)
  return {'OK', '1'}
end
redis.call('HSETNX', key('model', name), 'created_ms', created_ms)
redis.call('ZADD', key('models'), 0, name)
local added = redis.call('HSETNX', key('model', name, 'versions'), version, record)
if tonumber(version) > tonumber(redis.call('HGET', key('versions'), name) or '0') then
  redis.call('HSET', key('versions'), name, version)
end
return {'OK', tostring(added)}
