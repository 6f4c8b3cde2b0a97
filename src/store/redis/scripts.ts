// What must happen in one step at the store, as Lua. The rule is that of core/fleet/row.ts in another language; a
// test plays both the same sequences. Snapshots, names and dates pass through as texts: Lua's numbers print fourteen
// digits. Versions are whole numbers below 2^53, which its doubles hold exactly.

import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
  /** As EVALSHA names it. */
  readonly sha: string;
}

function script(...parts: readonly string[]): Script {
  const text = parts.join("\n");
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** Fields of a row: what a person (`p`), anybody (`o`) and whoever set the mode (`m`) ordered last. */
const ROW = `
local function num(text)
  if type(text) ~= 'string' or not string.match(text, '^%d+$') or #text > 16 then return 0 end
  local value = tonumber(text)
  if value > 9007199254740991 then return 0 end
  return value
end

local function str(value) return string.format('%.0f', value) end

-- Somebody else's key under a name of ours would refuse every order for ever.
local function own(key, kind)
  local found = redis.call('TYPE', key)['ok']
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end

local function orderOf(version, trip, id)
  -- One that nobody here can have given is none.
  if not version or not id or #id > 300 or not string.match(id, '^[!-~]+$') then return nil end
  return { version = num(version), isTrip = trip == '1', id = id or '' }
end

local function rowOf(key)
  own(key, 'hash')
  local f = redis.call('HMGET', key, 'pv', 'pt', 'pi', 'ov', 'ot', 'oi', 'mv', 'mi', 'h', 'n')
  return {
    person = f[4] and orderOf(f[1], f[2], f[3]) or nil,
    order = orderOf(f[4], f[5], f[6]),
    mode = orderOf(f[7], '0', f[8]),
    hash = f[9] or '',
    written = num(f[10]),
  }
end

local function versionOf(order) return order and order.version or 0 end

local function flatten(map)
  local flat = {}
  for field, value in pairs(map) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

local function begun(count)
  own(count, 'string')
  if num(redis.call('GET', count)) > 0 then return end
  local time = redis.call('TIME')
  redis.call('SET', count, time[1] .. string.format('%06d', time[2]))
end

-- Before anything is written: what cannot be counted would be noticed by nobody if its push were lost. A count that
-- is none, or is gone, begins where nobody has counted yet.
local function counted(count, ttl)
  if not count then return end
  begun(count)
  redis.call('INCR', count)
  redis.call('EXPIRE', count, ttl)
end

-- Of a row that somebody else has filled with thousands of fields no more than these.
local FIELDS = { 'name', 'pv', 'pt', 'pi', 'ov', 'ot', 'oi', 's', 'mv', 'mi', 'm', 'ma' }
local function fieldsOf(key)
  local flat = {}
  for index, value in ipairs(redis.call('HMGET', key, unpack(FIELDS))) do
    if value then
      flat[#flat + 1] = FIELDS[index]
      flat[#flat + 1] = value
    end
  end
  return flat
end

local function push(channel, receipt, fields)
  local message = { receipt }
  for index = 1, #fields do message[index + 1] = fields[index] end
  redis.call('PUBLISH', channel, cjson.encode(message))
end
`;

/** Milliseconds of the server's own clock. */
const NOW = `
local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** A replica's report that it has tripped by itself is forgotten after this, unless it comes again. */
const REPORT_MS = 600_000;

/**
 * KEYS: row, audit, seen, reports where several must report, and where it may be in the same step the count. ARGV: id, name, whether it wants receipts,
 * channel, seconds to keep, audits kept, ids kept, replica, seen person, order and mode, `p` or `a` with `1` for
 * a trip or nothing, snapshot, mode or nothing, its date, how many replicas must report what they did by themselves,
 * then two for each audit: content and digest.
 * Answers whether it is in force, whether it was pushed, and the row; `behind` alone where nothing was taken.
 */
export const COMMIT: Script = script(
  ROW,
  NOW,
  `
local rowKey, auditKey, seenKey = KEYS[1], KEYS[2], KEYS[3]
local id, name, wantsReceipts, channel = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local ttl, auditMax, seenMax, replica = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local seenPerson, seenOrder, seenMode = num(ARGV[9]), num(ARGV[10]), num(ARGV[11])
local breaker, snapshot, mode, modeAt, reporters = ARGV[12], ARGV[13], ARGV[14], ARGV[15], tonumber(ARGV[16])
local hasReports = reporters > 1
local reportsKey, countKey = hasReports and KEYS[4], KEYS[hasReports and 5 or 4]

own(seenKey, 'zset')
local row = rowOf(rowKey)
for _, before in ipairs({ '1', '0' }) do
  if redis.call('ZSCORE', seenKey, before .. id) then
    return { before, '0', unpack(fieldsOf(rowKey)) }
  end
end

-- It lost what the giver has seen, and is to get that back first.
if versionOf(row.person) < seenPerson or versionOf(row.order) < seenOrder or versionOf(row.mode) < seenMode then
  return { 'behind' }
end

local isByPerson, isTrip = string.sub(breaker, 1, 1) == 'p', string.sub(breaker, 2, 2) == '1'
local stored = math.max(versionOf(row.person), versionOf(row.order), versionOf(row.mode))
local version = math.max(stored, seenPerson, seenOrder, seenMode) + 1

local function isInForce()
  if not row.order then return true end
  local isPersonUnknown = versionOf(row.person) > seenPerson
  if isByPerson then
    return isTrip or not isPersonUnknown or not (row.person and row.person.isTrip)
  end
  if isPersonUnknown then return false end
  if row.order.version <= seenOrder then return true end
  return isTrip and not row.order.isTrip
end

-- Whether enough replicas say the same of what they did by themselves.
local function isReported()
  if isByPerson or not hasReports then return true end
  local now = nowMs()
  own(reportsKey, 'zset')
  redis.call('ZREMRANGEBYSCORE', reportsKey, '-inf', str(now))
  if isTrip then redis.call('ZADD', reportsKey, str(now + ${REPORT_MS}), replica)
  else redis.call('ZREM', reportsKey, replica) end
  redis.call('PEXPIRE', reportsKey, ${REPORT_MS})
  local count = redis.call('ZCARD', reportsKey)
  return (count >= reporters) == isTrip
end

local inForce = breaker == '' or (isReported() and isInForce())
local changes = {}
if breaker ~= '' and inForce then
  local trip = isTrip and '1' or '0'
  changes.ov, changes.ot, changes.oi, changes.s = str(version), trip, id, snapshot
  if isByPerson then changes.pv, changes.pt, changes.pi = str(version), trip, id end
end
if mode ~= '' then
  changes.mv, changes.mi, changes.m, changes.ma = str(version), id, mode, modeAt
end
local isChanged = next(changes) ~= nil

if isChanged then counted(countKey, ttl) end
local hash, written, known = row.hash, row.written, str(isChanged and version or stored)
own(auditKey, 'stream')
for index = 17, #ARGV, 2 do
  local content, digest = ARGV[index], ARGV[index + 1]
  local before = hash
  hash = redis.sha1hex(before .. '\\n' .. digest .. '\\n' .. known)
  redis.call('XADD', auditKey, 'MAXLEN', '=', auditMax, '*',
    'a', content, 'r', replica, 'v', known, 'b', before, 'h', hash)
  written = written + 1
end

changes.name, changes.h, changes.n = name, hash, str(written)
redis.call('HSET', rowKey, unpack(flatten(changes)))

local newest = redis.call('ZREVRANGE', seenKey, 0, 0, 'WITHSCORES')
local place = newest[2] and tonumber(newest[2]) + 1 or 1
redis.call('ZADD', seenKey, str(place), (inForce and '1' or '0') .. id)
redis.call('ZREMRANGEBYRANK', seenKey, 0, -seenMax - 1)

-- Not before the rest: once a script has written, a server whose memory is full lets it write all.
if isByPerson and hasReports then redis.call('DEL', reportsKey) end

redis.call('EXPIRE', rowKey, ttl)
redis.call('EXPIRE', seenKey, ttl)
redis.call('EXPIRE', auditKey, ttl)

local fields = fieldsOf(rowKey)
if isChanged then push(channel, wantsReceipts and id or '', fields) end
return { inForce and '1' or '0', isChanged and '1' or '0', unpack(fields) }
`,
);

/**
 * KEYS: row, and where it may be the count. ARGV: name, channel, seconds to keep, then version, trip, id of the
 * person's order, the same of the newest one, snapshot, version and id of the mode's order, mode, its date; nothing
 * for a version that there is not. Answers whether it was pushed.
 */
export const RESTORE: Script = script(
  ROW,
  `
local rowKey, countKey = KEYS[1], KEYS[2]
local name, channel, ttl = ARGV[1], ARGV[2], ARGV[3]
local function given(index) return ARGV[index] ~= '' and ARGV[index] end

local row = rowOf(rowKey)
local person = orderOf(given(4), ARGV[5], ARGV[6])
local order = orderOf(given(7), ARGV[8], ARGV[9])
local mode = orderOf(given(11), '0', ARGV[12])

-- By bytes: the server's own comparison of texts depends on its locale.
local function compareIds(a, b)
  for index = 1, math.min(#a, #b) do
    local difference = string.byte(a, index) - string.byte(b, index)
    if difference ~= 0 then return difference end
  end
  return #a - #b
end

local function compare(a, b)
  if not a or not b then return (a and 1 or 0) - (b and 1 or 0) end
  if a.version ~= b.version then return a.version - b.version end
  if a.isTrip ~= b.isTrip then return a.isTrip and 1 or -1 end
  return compareIds(a.id, b.id)
end

local changes = {}
local difference = compare(person, row.person)
if difference == 0 then difference = compare(order, row.order) end
if difference > 0 then
  changes.ov, changes.ot, changes.oi, changes.s = str(order.version), ARGV[8], order.id, ARGV[10]
  if person then
    changes.pv, changes.pt, changes.pi = str(person.version), ARGV[5], person.id
  end
end
if compare(mode, row.mode) > 0 then
  changes.mv, changes.mi, changes.m, changes.ma = str(mode.version), mode.id, ARGV[13], ARGV[14]
end
if next(changes) == nil then return '0' end

counted(countKey, ttl)
changes.name = name
redis.call('HSET', rowKey, unpack(flatten(changes)))
redis.call('EXPIRE', rowKey, ttl)
push(channel, '', fieldsOf(rowKey))
return '1'
`,
);

/**
 * KEYS: replicas, and where it may be the count. ARGV: replica, what it shows, milliseconds after which one is
 * forgotten, seconds to keep. Answers the count, then name, age in milliseconds and view of each.
 */
export const PRESENT: Script = script(
  ROW,
  NOW,
  `
local replicasKey, countKey = KEYS[1], KEYS[2]
local now = nowMs()
local found = redis.call('TYPE', replicasKey)['ok']
if found ~= 'hash' and found ~= 'none' then redis.call('DEL', replicasKey) end
redis.call('HSET', replicasKey, ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('EXPIRE', replicasKey, ARGV[4])
local all = redis.call('HGETALL', replicasKey)
if countKey then begun(countKey) end
local answer = { countKey and redis.call('GET', countKey) or '' }
if not answer[1] then answer[1] = '0' end
for index = 1, #all, 2 do
  local at, view = string.match(all[index + 1], '^(%d+) (.*)$')
  local age = at and now - tonumber(at)
  -- Set back, the clock would keep those of its future for ever.
  if not age or math.abs(age) > tonumber(ARGV[3]) then
    redis.call('HDEL', replicasKey, all[index])
  else
    answer[#answer + 1] = all[index]
    answer[#answer + 1] = string.format('%.0f', age)
    answer[#answer + 1] = view
  end
end
return answer
`,
);

/**
 * KEYS: turn. ARGV: milliseconds until probes are due, between the turns of two replicas, and the most that one is put
 * off. Answers how many it is put off.
 */
export const TURN: Script = script(
  ROW,
  NOW,
  `
local turnKey, inMs, spacing, window = KEYS[1], num(ARGV[1]), num(ARGV[2]), num(ARGV[3])
own(turnKey, 'string')
local now = nowMs()
local due = now + inMs
local last = num(redis.call('GET', turnKey))
local turn = math.max(due, last + spacing)
-- More replicas than turns: the next round.
if turn > due + window then turn = due end
redis.call('SET', turnKey, str(turn), 'PX', str(turn - now + window + spacing + 1))
return str(turn - due)
`,
);
