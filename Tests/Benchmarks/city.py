"""The stack that is measured: the one of Tests/System, with release binaries and the fixture of fixture.sql."""

import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "System"))

from stack import REPOSITORY, Stack, wait_for  # noqa: E402

SETTINGS = {
    # Nobody sheds or slows what is sent on purpose, and no crew of the fixture is called silent.
    "intake.conf": {"SLUICE_ROUTINE_MAXIMUM": "1000000"},
    "dispatch.conf": {
        "SLUICE_DISPATCH_SILENCE_SECONDS": "86400", "SLUICE_DISPATCH_ROUTINE_SILENCE_SECONDS": "86400"},
    "notification.conf": {"SLUICE_ACKNOWLEDGE_SECONDS": "86400", "SLUICE_ACKNOWLEDGE_AT_RISK_SECONDS": "86400"},
}
SERVICES = ("intake", "dispatch", "gis-sync", "scoring", "notification")
# Of these, one each is written for a routine report that nothing is merged with.
STEPS = {
    "accepted": "intake.report", "case": "dispatch.case_file", "crew": "dispatch.work_order",
    "notice": "notification.notice"}


class Bench(Stack):
    """A stack with the fixture, and what is read off it."""

    def settings_text(self, name):
        return "".join(f"{key}={value}\n" for key, value in SETTINGS[name].items())

    def up(self):
        self.home.mkdir(parents=True, exist_ok=True)
        folder = self.home / "settings"
        folder.mkdir(exist_ok=True)
        for name in SETTINGS:
            (folder / name).write_text(self.settings_text(name))
        self.run("up", "--release", "--no-build", "--no-drill", "--dispatch", "1", seconds=900)

    def add_crews(self, each_district):
        with open(HERE / "fixture.sql") as script:
            subprocess.run(
                [str(REPOSITORY / "deploy/stack/postgres"), "psql", "-v", f"crews={each_district}", "-f", "-"],
                stdin=script, check=True, stdout=subprocess.DEVNULL)
        # The categories and the crews are read anew by everybody.
        time.sleep(12)

    def token(self, login="admin"):
        return self.sluicectl("token", login, "--minutes", "240")[1]["token"]

    @property
    def intake_url(self):
        return f"http://127.0.0.1:{self.base + 10}"

    def post_routine(self, seconds, connections=64):
        """wrk at full speed; answers with what it counted."""
        done = subprocess.run(
            ["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "-s",
             str(HERE / "reports.lua"), self.intake_url, "--", self.token(), str(time.time_ns() // 1_000_000)],
            check=True, capture_output=True, text=True)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def written(self):
        """Rows ever inserted, by step. From the statistics, since counting rows would be work; up to a second old."""
        rows = self.rows(
            "SELECT t.name, sum(s.n_tup_ins)::bigint AS n FROM unnest(%s::text[]) AS t (name)"
            " JOIN pg_stat_user_tables s ON s.relid = t.name::regclass"
            " OR s.relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = t.name::regclass)"
            " GROUP BY t.name", list(STEPS.values()))
        found = {row["name"]: row["n"] for row in rows}
        return {step: found[table] for step, table in STEPS.items()}

    def finished(self):
        """Routine reports with case, crew and notice: the slowest of the three."""
        written = self.written()
        return min(written["case"], written["crew"], written["notice"])

    def waiting(self):
        """Routine events that were not sent yet, and those that wait in queues, roughly."""
        written = self.written()
        return written["accepted"] - min(written["case"], written["crew"])

    def settle(self, seconds=1800):
        """Until everything that was accepted has its case, its crew and its notice."""
        wait_for(
            lambda: self.value(
                "SELECT NOT EXISTS (SELECT FROM intake.outbox) AND NOT EXISTS (SELECT FROM dispatch.outbox)"
                " AND NOT EXISTS (SELECT FROM intake.emergency_outbox WHERE NOT canary)"
                " AND NOT EXISTS (SELECT FROM dispatch.emergency_outbox WHERE NOT canary)"
                " AND NOT EXISTS (SELECT FROM dispatch.claim_queue WHERE NOT canary)"),
            seconds, every=0.5, why="everything is worked off")
        wait_for(lambda: self.queued() == 0, seconds, every=0.5, why="the queues are empty")

    def queued(self):
        out = self.broker("ctl", "-q", "list_queues", "name", "messages", "--no-table-headers", "--vhost", "sluice")
        return sum(
            int(line.split()[1]) for line in out.splitlines()
            if line.split()[0] in ("dispatch.routine", "notification.routine"))
