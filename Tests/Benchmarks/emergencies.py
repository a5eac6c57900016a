"""Emergencies at a fixed rate, whatever the answers take, and what became of them."""

import asyncio
import random
import time

import httpx

# Inside the sample city (Services/Control/City/SampleMap.swift), degrees.
WEST, SOUTH, WIDTH, HEIGHT = 113.961, 22.521, 0.178, 0.058


async def _send(url, token, rate, seconds, run):
    sent = []
    limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False) as client:
        async def one(number):
            body = {
                "category": "bench_emergency", "description": "benchmark", "language": "en",
                "lon": WEST + WIDTH * random.random(), "lat": SOUTH + HEIGHT * random.random()}
            answer = await client.post(
                "/v1/reports", json=body, headers={"Idempotency-Key": f"lane-{run}-{number}"})
            sent.append((answer.status_code, answer.json().get("id")))

        begin = time.monotonic()
        tasks = []
        for number in range(int(rate * seconds)):
            # Open loop: a slow answer delays nobody's report.
            await asyncio.sleep(max(0, begin + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(one(number)))
        await asyncio.gather(*tasks)
    return sent


def send(url, token, rate, seconds):
    """Sends rate × seconds emergencies; answers with the ids of the reports. All of them must be accepted."""
    sent = asyncio.run(_send(url, token, rate, seconds, time.time_ns() // 1_000_000))
    refused = [status for status, _ in sent if status != 201]
    if refused:
        raise AssertionError(f"{len(refused)} emergencies were refused, the first with {refused[0]}")
    return [identifier for _, identifier in sent]


# By the services' own rows, all written by clocks of this one machine: accepted is the time at which intake had read the
# whole body, claimed the time that the order bears, told the time at which the first try of a message began.
TIMES = """
    SELECT extract(epoch FROM o.assigned_at - r.received_at)::float8 * 1000 AS claimed,
           extract(epoch FROM n.at - r.received_at)::float8 * 1000 AS told
    FROM unnest(%s::uuid[]) AS want (report_id)
    JOIN intake.report r USING (report_id)
    LEFT JOIN dispatch.report_state s USING (report_id)
    LEFT JOIN LATERAL (SELECT min(w.assigned_at) AS assigned_at FROM dispatch.work_order w
                       WHERE w.case_id = s.case_id) o ON true
    LEFT JOIN LATERAL (SELECT min(x.first_attempt_at) AS at FROM notification.notice x
                       WHERE x.case_id = s.case_id) n ON true
"""


def times(bench, reports, seconds=60):
    """Milliseconds from accepted to claimed, to told, and to both, of every one of these reports, sorted."""
    end = time.monotonic() + seconds
    while True:
        rows = bench.rows(TIMES, reports)
        missing = sum(row["claimed"] is None or row["told"] is None for row in rows)
        if not missing:
            break
        if time.monotonic() > end:
            raise AssertionError(f"{missing} of {len(rows)} emergencies have no crew or nobody was told")
        time.sleep(0.5)
    return {
        "claimed": sorted(row["claimed"] for row in rows),
        "told": sorted(row["told"] for row in rows),
        "both": sorted(max(row["claimed"], row["told"]) for row in rows),
    }


def percentile(ordered, share):
    """Nearest rank."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def summary(found):
    return {
        name: {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": values[-1]}
        for name, values in found.items()
    }
