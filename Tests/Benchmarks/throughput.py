"""Routine reports a second, end to end, against pgbench with the same statements one a round trip."""

import contextlib
import os
import re
import subprocess
import time

import processor
from city import HERE

TWIN = "sluice_pgbench"


def run(bench, size, note):
    """Row 2 of the goals. Ours first, while the tables are small for both; then pgbench on the same server, alone."""
    ours = reports(bench, size, note)
    bench.services("stop")
    try:
        with twin(bench):
            peers = {clients: pgbench(bench, clients, size["pgbench_seconds"]) for clients in size["pgbench_clients"]}
    finally:
        bench.services("start")
    note("  pgbench: " + ", ".join(
        f"{clients} clients {found['rate']:.0f}/s ({found['cost_us']:.0f} µs)" for clients, found in peers.items()))
    best = max(found["rate"] for found in peers.values())
    return {**ours, "pgbench": peers, "ratio": ours["rate"] / best}


def reports(bench, size, note):
    """Posts at full speed for a while; the clock stops when the last report has its case, its crew and its notice."""
    bench.settle()
    before, spent, began = bench.finished(), processor.seconds(bench), time.monotonic()
    posted = bench.post_routine(size["throughput_seconds"])
    bench.settle()
    took = time.monotonic() - began
    time.sleep(1.5)
    done = bench.finished() - before
    cost = processor.each(spent, processor.seconds(bench), done)
    note(
        f"  accepted {posted['accepted']} in {posted['seconds']:.0f} s ({posted['refused']} refused,"
        f" p99 {posted['p99_ms']:.0f} ms), {done} finished after {took:.1f} s: {done / took:.0f}/s")
    note("  processor time of a report: " + ", ".join(f"{name} {value:.0f}" for name, value in cost.items())
         + f", together {sum(cost.values()):.0f} µs")
    return {
        "rate": done / took, "accept_rate": posted["accepted"] / posted["seconds"], "posted": posted, "cost_us": cost}


@contextlib.contextmanager
def twin(bench):
    """A copy of the database for pgbench: nothing that it writes may ever reach the services."""
    with bench.connect(dbname="postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TWIN}")
        connection.execute(f"CREATE DATABASE {TWIN} TEMPLATE sluice STRATEGY file_copy")
    try:
        with bench.connect(dbname=TWIN) as connection:
            connection.execute("""
                CREATE SCHEMA bench;
                CREATE TABLE bench.crew (n integer PRIMARY KEY, crew_id uuid NOT NULL);
                INSERT INTO bench.crew SELECT row_number() OVER (ORDER BY crew_id), crew_id FROM dispatch.crew
                WHERE name LIKE 'bench %';
                ANALYZE bench.crew;
            """)
        yield
    finally:
        with bench.connect(dbname="postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {TWIN}")


def pgbench(bench, clients, seconds):
    """Transactions of report.pgbench.sql a second, each of which is one report, and the processor time of one."""
    with bench.connect(dbname=TWIN) as connection:
        crews = connection.execute("SELECT count(*) AS n FROM bench.crew").fetchone()["n"]
        place = connection.execute(
            "SELECT o.district_id, o.street_id, o.office_id FROM notification.office o WHERE o.street_id IS NOT NULL LIMIT 1"
        ).fetchone()
        body = connection.execute(
            "SELECT body::text AS body FROM dispatch.history"
            " WHERE type = 'case.opened.v1' AND body ->> 'category' = 'bench_routine' ORDER BY id DESC LIMIT 1"
        ).fetchone()["body"]
    variables = {
        "district": place["district_id"], "street": place["street_id"], "office": place["office_id"], "crews": crews,
        "body": body, "answer": "00" * 1024}
    definitions = [text for name, value in variables.items() for text in ("-D", f"{name}={value}")]
    spent = processor.of_sessions(bench) + processor.of_commands()
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f",
         str(HERE / "report.pgbench.sql"), *definitions, "-h", "127.0.0.1", "-p", str(bench.base + 1), "-U", "postgres",
         TWIN],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PGPASSWORD": bench.secret("postgres-superuser")})
    rate = re.search(r"tps = ([0-9.]+)", done.stdout)
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    if done.returncode or not rate or not count:
        raise AssertionError(f"pgbench failed: {done.stderr[-2000:]}")
    # The server notices the end of a session a moment later.
    time.sleep(1)
    spent = processor.of_sessions(bench) + processor.of_commands() - spent
    return {"rate": float(rate[1]), "cost_us": spent * 1e6 / max(1, int(count[1]))}


def million(bench, size, note):
    """As many reports as the design asks for, at the rate that keeps them flowing; all of them finished."""
    bench.settle()
    before, accepted_before, began = bench.finished(), bench.written()["accepted"], time.monotonic()
    while bench.written()["accepted"] - accepted_before < size["million"]:
        bench.post_routine(20)
        time.sleep(1.5)
    bench.settle(seconds=7_200)
    took = time.monotonic() - began
    time.sleep(1.5)
    done = bench.finished() - before
    note(f"  {done} reports in {took:.0f} s: {done / took:.0f}/s")
    return {"done": done, "seconds": took, "rate": done / took}
