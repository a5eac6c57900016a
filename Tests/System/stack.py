"""The stack under test: real PostgreSQL, RabbitMQ, nginx and the five services, by the scripts of deploy/."""

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import time

import psycopg
from psycopg.rows import dict_row

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

# What the tests change of the services' settings. Budgets and limits are for strangers; all our senders are one machine.
SETTINGS = {
    "intake.conf": {"SLUICE_BUDGET_PREFIX": "100000", "SLUICE_BUDGET_MINUTES": "1"},
    "notification.conf": {"SLUICE_ACKNOWLEDGE_SECONDS": "20", "SLUICE_ACKNOWLEDGE_AT_RISK_SECONDS": "20"},
}


def wait_for(what, seconds=60, every=0.2, why=""):
    """Polls until `what()` is true and answers with it. The bound is for a broken system, not for a slow machine."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            found = what()
            if found:
                return found
            last = found
        except (psycopg.OperationalError, OSError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {why or what.__name__} (last: {last!r})")
        time.sleep(every)


class Stack:
    """One stack: where it is, what it runs, and how to hurt it."""

    def __init__(self):
        self.own = "SLUICE_HOME" not in os.environ
        if self.own:
            os.environ["SLUICE_HOME"] = str(REPOSITORY / ".sluice" / "system")
            os.environ["SLUICE_PORT_BASE"] = str(self._free_base())
            os.environ["SLUICE_HTTP_PORT"] = str(int(os.environ["SLUICE_PORT_BASE"]) + 180)
        os.environ.setdefault("SLUICE_BUILD", "debug")
        self.home = pathlib.Path(os.environ["SLUICE_HOME"])
        self.base = int(os.environ.get("SLUICE_PORT_BASE", "21000"))
        self.url = f"http://127.0.0.1:{os.environ.get('SLUICE_HTTP_PORT', '8080')}"
        self.hook_port = self.base + 60
        self.log = open(self.home.parent / f"{self.home.name}.system.log", "a") if self.home.parent.exists() else None

    @staticmethod
    def _free_base():
        for base in range(26000, 31000, 200):
            if not any(_listening(base + offset) for offset in (1, 2, 3, 5, 10, 20, 60, 110, 180)):
                return base
        raise AssertionError("no 200 free ports between 26000 and 31000")

    @property
    def data(self):
        return (self.home / "data").resolve()

    # Scripts --------------------------------------------------------------------------------------------------------

    def run(self, script, *arguments, check=True, seconds=300):
        """Runs a script of deploy/ and answers with its standard output."""
        # Not through pipes: what a script starts would hold them open.
        with open(self.home / "script.out", "w+") as out, open(self.home / "script.err", "w+") as err:
            done = subprocess.run(
                [str(REPOSITORY / "deploy" / script), *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                timeout=seconds, check=False)
            out.seek(0), err.seek(0)
            output, errors = out.read(), err.read()
        assert not check or done.returncode == 0, f"deploy/{script} {shlex.join(arguments)}: {errors[-2000:]}"
        return output

    def sluicectl(self, *arguments, codes=(0,)):
        """Runs sluicectl with --json; answers with (exit status, what it printed)."""
        done = subprocess.run(
            [str(REPOSITORY / "deploy" / "sluicectl"), *arguments, "--json"], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode in codes, f"sluicectl {shlex.join(arguments)}: {done.returncode} {done.stderr[-2000:]}"
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None

    def up(self):
        self.home.mkdir(parents=True, exist_ok=True)
        changed = self._write_settings()
        self.run("up", "--debug", "--no-build", "--no-drill", "--dispatch", "2", seconds=900)
        if changed:
            self.services("restart")

    def _write_settings(self):
        folder = self.home / "settings"
        folder.mkdir(exist_ok=True)
        changed = False
        for name, values in SETTINGS.items():
            values = dict(values)
            if name == "notification.conf":
                values["SLUICE_WEBHOOK_ALLOW_PRIVATE"] = f"127.0.0.1:{self.hook_port}"
            text = "".join(f"{key}={value}\n" for key, value in values.items())
            file = folder / name
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
                changed = True
        return changed

    @contextlib.contextmanager
    def notification_settings(self, values):
        """More settings for notification, until the block ends."""
        file = self.home / "settings" / "notification.conf"
        before = file.read_text() if file.exists() else ""
        file.write_text(before + "".join(f"{name}={value}\n" for name, value in values.items()))
        try:
            self.services("restart", "notification")
            yield
        finally:
            file.write_text(before)
            self.services("restart", "notification")

    def down(self):
        self.run("down", "--purge", "--yes", check=False)
        if (self.home / "stack.env").exists():
            return  # something did not stop
        # What the tests put there themselves.
        shutil.rmtree(self.home / "settings", ignore_errors=True)
        for name in ("script.out", "script.err", "wrong-order.out"):
            (self.home / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.home.rmdir()

    # Parts ----------------------------------------------------------------------------------------------------------

    def services(self, command, *names, check=True):
        return self.run("stack/services", command, *names, check=check)

    def broker(self, command, *arguments, check=True):
        return self.run("stack/rabbitmq", command, *arguments, check=check)

    def database(self, command, check=True):
        return self.run("stack/postgres", command, check=check)

    def pid(self, name):
        """Of a service, `broker` or `database`."""
        files = {
            "broker": self.data / "rabbitmq" / "broker.pid", "database": self.data / "postgres" / "postmaster.pid"}
        return int(files.get(name, self.data / "run" / f"{name}.pid").read_text().split()[0])

    def pids(self, name):
        """With the children that PostgreSQL has for its connections."""
        first = self.pid(name)
        if name != "database":
            return [first]
        children = subprocess.run(["pgrep", "-P", str(first)], capture_output=True, text=True, check=False)
        return [first, *map(int, children.stdout.split())]

    def pause(self, name):
        """SIGSTOP, until no thread runs any more; answers with the pids, since a stopped database's children are found
        only while it runs."""
        pids = self.pids(name)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: all(map(self.is_stopped, pids)), 30, every=0.002, why=f"{name} stands still")
        return pids

    @staticmethod
    def is_stopped(pid):
        """Or ended."""
        for file in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if file.read_text().rsplit(")", 1)[1].split()[0] not in "TZX":
                    return False
        return True

    @staticmethod
    def resume(pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def paused(self, name):
        pids = self.pause(name)
        try:
            yield
        finally:
            self.resume(pids)

    def kill(self, name):
        if name == "broker":
            self.broker("kill")
        elif name == "database":
            self.database("kill")
        else:
            self.services("kill", name)

    def start(self, name):
        if name == "broker":
            self.broker("start")
        elif name == "database":
            self.database("start")
        else:
            self.services("start", name)

    # Looking --------------------------------------------------------------------------------------------------------

    def secret(self, name):
        return (self.home / "secrets" / name).read_text().strip()

    def connect(self, role="postgres", secret="postgres-superuser", dbname="sluice", **options):
        return psycopg.connect(
            host="127.0.0.1", port=self.base + 1, dbname=dbname, user=role, password=self.secret(secret),
            connect_timeout=10, row_factory=dict_row, autocommit=True, **options)

    def rows(self, sql, *values):
        """As superuser, past every policy: what is really there."""
        with self.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def one(self, sql, *values):
        rows = self.rows(sql, *values)
        assert len(rows) == 1, f"{len(rows)} rows for {sql}"
        return rows[0]

    def value(self, sql, *values):
        return next(iter(self.one(sql, *values).values()))


def _listening(port):
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
