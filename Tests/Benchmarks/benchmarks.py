"""Runs what run was asked for, in one order, on one stack, and writes the table. See README.md beside it."""

import argparse
import json
import os
import pathlib
import sys

import footprint
import lane
import table
import throughput
from city import REPOSITORY, Bench

SIZES = {
    # Seconds, reports, rates a second.
    "full": {
        "crews": 1_500, "rate": 10, "lane_seconds": 60, "backlog": 300_000, "flow_seconds": 20, "flow_guess": 1_000,
        "throughput_seconds": 30, "pgbench_seconds": 15, "pgbench_clients": (4, 8, 16, 32), "idle_seconds": 60,
        "rest_seconds": 3_600, "starts": 9, "rates": (10, 20, 40, 80, 160, 320), "bound_seconds": 20,
        "million": 1_000_000},
    "quick": {
        "crews": 1_500, "rate": 10, "lane_seconds": 20, "backlog": 20_000, "flow_seconds": 8, "flow_guess": 1_000,
        "throughput_seconds": 10, "pgbench_seconds": 8, "pgbench_clients": (8, 16), "idle_seconds": 10,
        "rest_seconds": 60, "starts": 5, "rates": (10, 20, 40, 80, 160), "bound_seconds": 10},
    # Only that each of them works: its figures say nothing.
    "smoke": {
        "crews": 100, "rate": 10, "lane_seconds": 3, "backlog": 2_000, "flow_seconds": 2, "flow_guess": 500,
        "throughput_seconds": 2, "pgbench_seconds": 2, "pgbench_clients": (4,), "idle_seconds": 2, "rest_seconds": 2,
        "starts": 1, "rates": (10, 20), "bound_seconds": 2},
}
# In the order in which they run.
BENCHMARKS = {
    "memory": ("memory, idle", footprint.memory),
    "idle": ("processor time, idle", footprint.idle),
    "start": ("start to ready", footprint.start),
    "lane": ("emergencies behind a routine backlog", lane.run),
    "bound": ("emergencies a second", lane.bound),
    "throughput": ("routine reports, end to end", throughput.run),
    "million": ("a million reports", throughput.million),
    "rest": ("memory, after the storm", footprint.after_storm),
}
ALL = tuple(name for name in BENCHMARKS if name != "million")


def main():
    parser = argparse.ArgumentParser(prog="Tests/Benchmarks/run", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help=f"default: {' '.join(ALL)}")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end")
    arguments = parser.parse_args()
    size, names = SIZES[arguments.size], arguments.names or ALL

    bench, results = Bench(), {"size": arguments.size}

    def note(text):
        print(text, flush=True)

    try:
        bench.up()
        bench.add_crews(size["crews"])
        for name, (title, measure) in BENCHMARKS.items():
            if name in names:
                note(title)
                results[name] = measure(bench, size, note)
    finally:
        folder = pathlib.Path(os.environ.get("SLUICE_BENCH_RESULTS", REPOSITORY / ".sluice" / "benchmarks"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(results, indent=2))
        text = table.text(results)
        (folder / "table.md").write_text(text)
        print(text)
        if not arguments.keep:
            bench.down()


if __name__ == "__main__":
    sys.exit(main())
