"""Processor time by part: where the time of a report goes."""

import os
import resource

from city import SERVICES

TICKS = os.sysconf("SC_CLK_TCK")


def seconds(bench):
    """Seconds of processor time so far, with those of children that have ended: each service, the broker, and
    PostgreSQL for each service and for itself."""
    found = {name: _seconds(bench.pid(name)) for name in (*SERVICES, "broker")}
    postmaster, *children = bench.pids("database")
    found["PostgreSQL itself"] = _seconds(postmaster, ended=False)
    for child in children:
        try:
            with open(f"/proc/{child}/cmdline") as file:
                words = file.read().replace("\0", " ").removeprefix("postgres: ").split()
            role = words[0] if words and words[0].startswith("sluice_") else None
            name = f"PostgreSQL for {role.split('_')[1]}" if role else "PostgreSQL itself"
            found[name] = found.get(name, 0) + _seconds(child)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


def of_sessions(bench):
    """Seconds that the sessions have cost that PostgreSQL has ended so far."""
    return _seconds(bench.pids("database")[0]) - _seconds(bench.pids("database")[0], ended=False)


def of_commands():
    """Seconds that the commands have cost that we have run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def each(before, after, count):
    """Microseconds of each of `count` reports, by part; parts that did next to nothing are left out."""
    cost = {name: (value - before.get(name, 0)) * 1e6 / max(1, count) for name, value in after.items()}
    return {name: value for name, value in sorted(cost.items(), key=lambda item: -item[1]) if value >= 5}


def _seconds(pid, ended=True):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15 if ended else 13]) / TICKS
