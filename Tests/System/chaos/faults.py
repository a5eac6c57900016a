"""What goes wrong, and when: drawn from a seed, so that a run can be done again."""

import random
import subprocess
import time
from datetime import datetime, timezone

from stack import REPOSITORY, wait_for

PARTS = ["intake", "dispatch", "dispatch.1", "notification", "scoring", "gis-sync", "broker", "database"]


class Faults:
    def __init__(self, stack, seed, say):
        self.stack, self.chance, self.say = stack, random.Random(seed), say
        # (begin, end, parts): when something was away that emergencies need.
        self.windows = []

    def short(self):
        """Each part killed once and stopped once, then everything started in the wrong order."""
        acts = [(kind, part) for part in PARTS for kind in ("kill", "pause")]
        self.chance.shuffle(acts)
        for kind, part in acts:
            self._do(kind, part)
            time.sleep(self.chance.uniform(0.5, 1.5))
        self.wrong_order()

    def at_random(self, minutes):
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            if self.chance.random() < 0.05:
                self.wrong_order()
            else:
                self._do(self.chance.choice(["kill", "pause"]), self.chance.choice(PARTS))
            time.sleep(self.chance.uniform(0, 10))

    def _do(self, kind, part):
        seconds = self.chance.uniform(1, 5)
        self.say(f"{kind} {part} for {seconds:.1f} s")
        began = datetime.now(timezone.utc)
        if kind == "kill":
            self.stack.kill(part)
            time.sleep(seconds)
            self.stack.start(part)
        else:
            pids = self.stack.pause(part)
            try:
                time.sleep(seconds)
            finally:
                self.stack.resume(pids)
        if part not in ("broker", "scoring", "gis-sync"):
            self.windows.append((began, datetime.now(timezone.utc), [part]))

    def wrong_order(self):
        """Services first, then the broker, the database last."""
        self.say("all stopped, started in the wrong order")
        began = datetime.now(timezone.utc)
        for name in ("database", "broker"):
            self.stack.kill(name)
        names = [part for part in PARTS if part not in ("broker", "database")]
        for name in names:
            self.stack.services("kill", name)
        with open(self.stack.home / "wrong-order.out", "w") as out:
            services = subprocess.Popen(
                [str(REPOSITORY / "deploy" / "stack" / "services"), "start", *names], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out)
            time.sleep(3)
            self.stack.start("broker")
            self.stack.start("database")
            services.wait(180)
        if services.returncode != 0:
            # A service that gave up is started by whoever watches over it; here that is us, once.
            self.say("a service gave up without its database: started again")
            self.stack.services("start", *names)
        wait_for(lambda: self.stack.services("status", *names) is not None, 60, why="all services are ready")
        self.windows.append((began, datetime.now(timezone.utc), ["everything"]))
