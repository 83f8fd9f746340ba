-- What every job script shares. The host prepends TRANSITIONS (from states.py), KEPT_CAP, TRIMMED_CAP and MAX_ALIASES.
-- All keys carry one hash tag, so that they lie in one slot of a Redis cluster.

local PREFIX = '{convnest}:'
local function key(...) return PREFIX .. table.concat({...}, ':') end
local function job_key(id) return key('job', id) end

-- Milliseconds by Redis' own clock, as a string: a double would print as 1.79e+12.
local function clock()
  local t = redis.call('TIME')
  return string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
end
local now = clock()

local function fail(code, message) return {code, message} end

-- Events are numbered per job. States and epochs are kept; progress, logs and checkpoints are trimmed.
local KEPT = {state = true, epoch = true}
local function emit(id, kind, payload)
  local seq = redis.call('HINCRBY', job_key(id), 'seq', 1)
  local stream, cap = key('job', id, 'trimmed'), TRIMMED_CAP
  if KEPT[kind] then stream, cap = key('job', id, 'kept'), KEPT_CAP end
  redis.call('XADD', stream, 'MAXLEN', '~', cap, seq .. '-0', 'kind', kind, 'time_ms', now, 'data', payload)
end

-- Waiting jobs run by priority, then by how long they wait. Exact in a double: |priority| ≤ 100.
local function waiting_score(priority, queued_ms)
  return string.format('%.0f', tonumber(queued_ms) - tonumber(priority) * 1e13)
end

-- What a job holds while it is not final: a dataset it reads, or a dataset's name it will take.
local function release(id)
  local uses, makes = unpack(redis.call('HMGET', job_key(id), 'uses_dataset', 'makes_dataset'))
  if uses and uses ~= '' then redis.call('SREM', key('dataset', uses, 'jobs'), id) end
  if makes and makes ~= '' then redis.call('HDEL', key('reserved'), makes) end
  redis.call('SREM', key('active'), id)
end

-- The only place where a job's state changes. The caller has checked the token.
-- `reason`, `error`: strings for the event; `error` is JSON or ''.
local function set_state(id, to, reason, error)
  local job = job_key(id)
  local from, worker, priority = unpack(redis.call('HMGET', job, 'state', 'worker', 'priority'))
  if not TRANSITIONS[from][to] then
    return fail('FAILED_PRECONDITION', 'job ' .. id .. ' is ' .. from .. ' and cannot become ' .. to)
  end
  redis.call('HSET', job, 'state', to)
  redis.call('ZREM', key('jobs', from), id)
  redis.call('ZADD', key('jobs', to), 0, id)
  if from == 'QUEUED' then redis.call('ZREM', key('waiting'), id) end
  if from == 'RUNNING' then
    redis.call('ZREM', key('leases'), id)
    redis.call('HSET', job, 'token', '', 'worker', '')
  end
  if to == 'QUEUED' then
    redis.call('HSET', job, 'queued_ms', now)
    redis.call('ZADD', key('waiting'), waiting_score(priority, now), id)
  end
  if next(TRANSITIONS[to]) == nil then
    redis.call('HSET', job, 'ended_ms', now, 'wish', '')
    release(id)
  end
  emit(id, 'state', cjson.encode({
    state = to, reason = reason, worker = worker or '',
    error = (error and error ~= '') and cjson.decode(error) or nil,
  }))
  return nil
end

-- nil where `token` is the one that holds the job's lease, else the refusal.
local function check_token(id, token)
  local state, held = unpack(redis.call('HMGET', job_key(id), 'state', 'token'))
  if state ~= 'RUNNING' or held ~= token then
    return fail('LEASE_LOST', 'job ' .. id .. ': the attempt ' .. token .. ' no longer holds the lease')
  end
end

-- Keeps an error as one of the job's last ten failures, and as its error where it is final.
local function note_failure(id, error)
  local job = job_key(id)
  local failures = cjson.decode(redis.call('HGET', job, 'failures') or '[]')
  local entry = cjson.decode(error)
  entry.attempt = tonumber(redis.call('HGET', job, 'attempt'))
  entry.time_ms = now
  failures[#failures + 1] = entry
  while #failures > 10 do table.remove(failures, 1) end
  redis.call('HSET', job, 'failures', cjson.encode(failures))
  return cjson.encode(entry)
end

-- Puts a running job back, or gives it up where it has failed too often. `counts`: it was a failed attempt.
local function requeue(id, reason, error, counts)
  local job = job_key(id)
  if error ~= '' then error = note_failure(id, error) end
  if counts then
    local failed = redis.call('HINCRBY', job, 'failed_attempts', 1)
    if failed >= tonumber(redis.call('HGET', job, 'max_attempts')) then
      redis.call('HSET', job, 'error', error)
      return set_state(id, 'FAILED', 'given up after ' .. failed .. ' failed attempts', error)
    end
  end
  local wish = redis.call('HGET', job, 'wish')
  if wish == 'cancel' then return set_state(id, 'CANCELLED', 'cancelled', '') end
  if wish == 'pause' then
    redis.call('HSET', job, 'wish', '')
    return set_state(id, 'PAUSED', 'paused', '')
  end
  return set_state(id, 'QUEUED', reason, error)
end
