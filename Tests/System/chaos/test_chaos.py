"""Everything is killed and stopped while people work; afterwards nothing is lost, doubled or stuck.

SLUICE_CHAOS_SEED chooses what fails when; SLUICE_CHAOS_MINUTES makes the run as long as wanted (empty: the short one)."""

import contextlib
import json
import os
import threading
import time

import pytest
from broker import Broker
from chaos.faults import Faults
from chaos.invariants import OPEN, broken
from chaos.load import Load
from evidence import compare
from stack import wait_for

pytestmark = pytest.mark.chaos
SEED = int(os.environ.get("SLUICE_CHAOS_SEED") or 20200621)
MINUTES = float(os.environ.get("SLUICE_CHAOS_MINUTES") or 0)
# Filed within so many seconds of its acceptance, whenever the database and a dispatch were there: I6. The figure is for
# a broken lane (a poll lost, a back-off of minutes), not for a slow machine; Tests/Benchmarks measures the lane.
BOUND = 30


class Versions(threading.Thread):
    """Watches that no case's version goes back, from one look to the next."""

    def __init__(self, stack, since):
        super().__init__(daemon=True)
        self.stack, self.since, self.back, self.looks, self.over = stack, since, [], 0, threading.Event()

    def run(self):
        seen = {}
        while not self.over.wait(1):
            try:
                rows = self.stack.rows(
                    "SELECT case_id, version FROM dispatch.case_file WHERE opened_at >= %s"
                    " UNION ALL SELECT order_id, version FROM dispatch.work_order WHERE assigned_at >= %s",
                    self.since, self.since)
            except Exception:  # the database is away
                continue
            self.looks += 1
            for row in rows:
                key, version = row["case_id"], row["version"]
                if version < seen.get(key, 0):
                    self.back.append((key, seen[key], version))
                seen[key] = version


def test_the_invariants_hold_whatever_is_killed_or_stopped(city, stack, hook, capsys):
    def say(text):
        with capsys.disabled():
            print(f"\n  chaos {SEED}: {text}", end="", flush=True)

    for slug in ("nanshan", "futian", "luohu"):
        city.calm(slug)
    for login in ["dispatcher", *[f"crew-{s}-{n}" for s in ("nanshan", "futian", "luohu") for n in (1, 2, 3)]]:
        city.token(login)
    # Other tests' forgeries, which no history has and which the ledger keeps.
    forged = compare(stack)[1]
    since = stack.value("SELECT clock_timestamp()")
    versions, load, faults = Versions(stack, since), Load(city, SEED), Faults(stack, SEED, say)
    versions.start()
    load.start()
    wait_for(lambda: len(load.accepted) >= 10, why="reports are accepted")
    if MINUTES:
        faults.at_random(MINUTES)
    else:
        faults.short()

    # Quiet: no new reports, everything up, and what is on its way arrives.
    enough = len(load.accepted) + 10
    wait_for(lambda: len(load.accepted) >= enough or load.faults, 120, why="reports are accepted again")
    load.stop_reporting()
    time.sleep(5)
    load.stop()
    say(f"{len(load.accepted)} reports, {load.done} jobs done; now quiet")
    assert not load.faults, load.faults[:5]

    def settled():
        found = [line for line in broken(stack, since, load.accepted) if line[:2] in ("I1", "I4", "I8")]
        return not found or None
    try:
        wait_for(settled, 150, every=3, why="everything has arrived")
    except AssertionError:
        pass  # the whole list is below
    versions.over.set()
    versions.join(30)
    # What nobody answers is asked for again each minute, so that some case may be on its way at any one look.
    found = []

    def holds():
        found[:] = broken(stack, since, load.accepted)
        return not found or None
    with contextlib.suppress(AssertionError):
        wait_for(holds, 30, every=3, why="the invariants hold")

    # I2, as people see it: the list of open cases has every case that is open.
    dispatcher, listed, cursor = city.person("dispatcher"), set(), None
    while True:
        page = dispatcher.seen("/v1/cases", params={
            "state": OPEN.strip("()").replace("'", "").replace(" ", ""), "limit": 200, "since": since.isoformat(),
            **({"cursor": cursor} if cursor else {})})
        listed |= {case["case_id"] for case in page["items"]}
        if not (cursor := page["next"]):
            break
    really = {str(row["case_id"]) for row in stack.rows(
        f"SELECT case_id FROM dispatch.case_file WHERE state IN {OPEN} AND opened_at >= %s AND NOT canary", since)}
    if really != listed:
        found.append(f"I2 open cases are listed: {len(really - listed)} are not, {len(listed - really)} should not be")

    # I3, as the outside sees it: one id is one message, byte for byte.
    bodies = {}
    for call in list(hook.calls):
        headers = {name.lower(): value for name, value in call["headers"].items()}
        bodies.setdefault(headers["webhook-id"], set()).add(call["body"])
    for key, variants in bodies.items():
        if len(variants) > 1:
            found.append(f"I3 a repeat is the same message: {key} came with {len(variants)} bodies")

    # I4: the queues are empty.
    broker = Broker(stack)
    try:
        wait_for(lambda: not broker.waiting(), 60, every=2, why="the queues are empty")
    except AssertionError:
        found.append(f"I4 the queues are empty: {broker.waiting()}")

    # I4, as an auditor sees it: the ledger, and one built anew from what each service has recorded, are equal.
    try:
        wait_for(lambda: compare(stack)[1] <= forged, 120, every=5, why="the ledger is what the events say")
    except AssertionError:
        if unlike := sorted(compare(stack)[1] - forged):
            found.append(f"I4 the ledger is what the events say: {len(unlike)} differences, such as {unlike[:3]}")

    # I6: outside of the times at which the database or the lane's services were away, emergencies were filed in time.
    slow = []
    for row in stack.rows(
            "SELECT report_id, received_at, decided_at FROM dispatch.report_state"
            " WHERE emergency AND received_at >= %s", since):
        waited = (row["decided_at"] - row["received_at"]).total_seconds()
        away = sum(
            max(0.0, (min(end, row["decided_at"]) - max(begin, row["received_at"])).total_seconds())
            for begin, end, _ in faults.windows if begin < row["decided_at"] and end > row["received_at"])
        if waited - away > BOUND:
            slow.append((str(row["report_id"]), round(waited, 1), round(away, 1)))
    if slow:
        found.append(f"I6 emergencies are filed within {BOUND} s: {len(slow)} were not, such as {slow[:3]}")

    # I8, as somebody who looks again and again sees it.
    assert versions.looks > 10
    if versions.back:
        found.append(f"I8 no version goes back: {versions.back[:3]}")
    assert not found, "\n".join(["", f"with seed {SEED}:", *found])
    code, balance = stack.sluicectl("reconcile", "--days", "1", "--grace", "60", "--dry-run", codes=(0, 3))
    assert code == 0, json.dumps(balance)[:2000]
