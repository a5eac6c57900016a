-- Routine reports for wrk, each at a place of its own: wrk -s reports.lua URL -- TOKEN RUN
-- Prints, at the end, how many were accepted and what was answered to the others.
local threads = {}

function setup(thread)
    thread:set("id", #threads)
    table.insert(threads, thread)
end

function init(arguments)
    token, run = arguments[1], arguments[2]
    counter, accepted, refused, told_to_wait = 0, 0, 0, false
    -- Two irrational steps: evenly over the map, never twice at one place, whatever the number of reports.
    start = id * 7919 + tonumber(run) % 100000 * 131
    headers = {
        ["Content-Type"] = "application/json",
        ["Authorization"] = "Bearer " .. token,
    }
end

function request()
    counter = counter + 1
    local n = start + counter + id * 0.5
    local lon = 113.961 + 0.178 * ((n * 0.6180339887498949) % 1)
    local lat = 22.521 + 0.058 * ((n * 0.7548776662466927) % 1)
    headers["Idempotency-Key"] = "bench-" .. run .. "-" .. id .. "-" .. counter
    local body = string.format(
        '{"category":"bench_routine","description":"benchmark","lon":%.7f,"lat":%.7f,"language":"en"}', lon, lat)
    return wrk.format("POST", "/v1/reports", headers, body)
end

function response(status)
    if status == 201 then accepted = accepted + 1 else refused = refused + 1 end
    told_to_wait = status == 429
end

-- Who is asked to come again later does not come at once: answering them costs what the others need.
function delay()
    if told_to_wait then return 500 end
    return 0
end

function done(summary, latency)
    local all_accepted, all_refused = 0, 0
    for _, thread in ipairs(threads) do
        all_accepted = all_accepted + thread:get("accepted")
        all_refused = all_refused + thread:get("refused")
    end
    local errors = summary.errors
    print(string.format(
        '{"accepted":%d,"refused":%d,"broken":%d,"seconds":%.3f,"p50_ms":%.2f,"p99_ms":%.2f}', all_accepted,
        all_refused, errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
