-- Sends the requests of a file, which NUL parts, in turn, and says what came of them in one line of JSON. The second
-- argument is the longest that a connection waits before each, in ms.
local requests = {}
local at = 0
math.randomseed(1)

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  for one in file:read('*a'):gmatch('([^%z]+)%z') do requests[#requests + 1] = one end
  file:close()
  local most = tonumber(args[2])
  if most > 0 then
    -- ms until a connection's next request
    function delay() return math.random(0, most) end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"refused":%d,"failed":%d,"p50":%f,"p99":%f,"p999":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
