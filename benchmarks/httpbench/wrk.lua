-- What wrk runs inside itself: "-- N" sends N requests a write, and the figures come out exact, as one line of JSON.
function init(args)
   local depth = tonumber(args[1])
   if depth > 1 then
      local batch = string.rep(wrk.format(), depth)
      -- Defined only here: without a request function wrk sends its one prepared request and never calls Lua.
      request = function() return batch end
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'figures {"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"p999_us":%d,',
      summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(90),
      latency:percentile(99), latency:percentile(99.9)))
   io.write(string.format(
      '"connect_errors":%d,"read_errors":%d,"write_errors":%d,"timeouts":%d,"status_errors":%d}\n',
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
