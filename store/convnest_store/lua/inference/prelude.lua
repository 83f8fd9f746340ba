-- What every inference script shares. A request is 48 bytes of header and a body; see inference/wire.py.
-- The host prepends MODE_CRASHED, MODE_LOST, MAX_DEATHS and STATUS_POISON.

local PREFIX = '{convnest}:'
local function key(...) return PREFIX .. table.concat({...}, ':') end
local function queue_key(model) return key('queue', model) end   -- requests, oldest first
local function alone_key(model) return key('alone', model) end   -- those that must run alone
local function bytes_key(model) return key('bytes', model) end   -- size of both lists
local function wake_key(model) return key('wake', model) end     -- one token where there is work

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Nothing that is left behind lives longer than this.
local KEEP_MS = 120000
local function keep(model)
  for _, k in ipairs({queue_key(model), alone_key(model), bytes_key(model), wake_key(model)}) do
    redis.call('PEXPIRE', k, KEEP_MS)
  end
end

local function wake(model)
  if redis.call('LLEN', wake_key(model)) == 0 then redis.call('RPUSH', wake_key(model), '1') end
end

-- Fields of a request's header.
local function deaths_of(item) return string.byte(item, 6) end
local function with_deaths(item, n) return string.sub(item, 1, 5) .. string.char(n) .. string.sub(item, 7) end
local function server_of(item) return string.sub(item, 9, 24) end
local function caller_of(item) return string.sub(item, 9, 32) end -- server and request id
local function deadline_of(item) return struct.unpack('<I8', string.sub(item, 33, 40)) end

local function refuse(item, status, message)
  local reply = key('replies', server_of(item))
  redis.call('RPUSH', reply, string.sub(item, 25, 32) .. struct.pack('<BI4', status, #message) .. message)
  redis.call('PEXPIRE', reply, 60000)
end
