"""Routine reports a second, end to end, against pgbench with the same statements one a round trip."""

import os
import re
import subprocess
import time

from city import HERE


def run(bench, size, note):
    """Row 2 of the goals. Ours first, while the tables are small for both; then pgbench on the same server, alone."""
    ours = reports(bench, size, note)
    bench.services("stop")
    try:
        peers = {clients: pgbench(bench, clients, size["pgbench_seconds"]) for clients in size["pgbench_clients"]}
    finally:
        clean(bench)
        bench.services("start")
    note("  pgbench: " + ", ".join(f"{clients} clients {rate:.0f}/s" for clients, rate in peers.items()))
    best = max(peers.values())
    return {**ours, "pgbench": peers, "ratio": ours["rate"] / best}


def reports(bench, size, note):
    """Posts at full speed for a while; the clock stops when the last report has its case, its crew and its notice."""
    bench.settle()
    before, began = bench.finished(), time.monotonic()
    posted = bench.post_routine(size["throughput_seconds"])
    bench.settle()
    took = time.monotonic() - began
    time.sleep(1.5)
    done = bench.finished() - before
    note(
        f"  accepted {posted['accepted']} in {posted['seconds']:.0f} s ({posted['refused']} refused,"
        f" p99 {posted['p99_ms']:.0f} ms), {done} finished after {took:.1f} s: {done / took:.0f}/s")
    return {"rate": done / took, "accept_rate": posted["accepted"] / posted["seconds"], "posted": posted}


def pgbench(bench, clients, seconds):
    """Transactions of report.pgbench.sql a second: each is one report."""
    prepare = """
        CREATE SCHEMA IF NOT EXISTS bench;
        CREATE TABLE IF NOT EXISTS bench.crew (n integer PRIMARY KEY, crew_id uuid NOT NULL);
        INSERT INTO bench.crew SELECT row_number() OVER (ORDER BY crew_id), crew_id FROM dispatch.crew
        WHERE name LIKE 'bench %' ON CONFLICT DO NOTHING;
    """
    with bench.connect() as connection:
        connection.execute(prepare)
        crews = connection.execute("SELECT count(*) AS n FROM bench.crew").fetchone()["n"]
        place = connection.execute(
            "SELECT o.district_id, o.street_id, o.office_id FROM notification.office o WHERE o.street_id IS NOT NULL LIMIT 1"
        ).fetchone()
        body = connection.execute(
            "SELECT body::text AS body FROM dispatch.history WHERE type = 'case.opened.v1' ORDER BY id DESC LIMIT 1"
        ).fetchone()["body"]
    variables = {
        "district": place["district_id"], "street": place["street_id"], "office": place["office_id"], "crews": crews,
        "body": body, "answer": "00" * 1024}
    definitions = [text for name, value in variables.items() for text in ("-D", f"{name}={value}")]
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f",
         str(HERE / "report.pgbench.sql"), *definitions, "-h", "127.0.0.1", "-p", str(bench.base + 1), "-U", "postgres",
         "sluice"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PGPASSWORD": bench.secret("postgres-superuser")})
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or not found:
        raise AssertionError(f"pgbench failed: {done.stderr[-2000:]}")
    return float(found[1])


def clean(bench):
    """Takes pgbench's events away: nothing of it may reach the services."""
    with bench.connect() as connection:
        connection.execute("TRUNCATE intake.outbox_7")
        connection.execute("TRUNCATE dispatch.outbox_7")
        connection.execute("DELETE FROM dispatch.live_event WHERE seq IS NULL")
        connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")


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
