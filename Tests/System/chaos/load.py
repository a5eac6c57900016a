"""People at work while the machines fail: residents report, crews do their jobs, dispatchers close cases.

Everybody sends what failed again, unchanged, until there is an answer: that is all the API asks of its clients."""

import random
import secrets
import threading
import time

import httpx
from city import new_id, now

CATEGORIES = ["cover_missing", "street_flooding", "gully_blocked", "pipe_blocked", "odour", "illegal_discharge"]


class Load:
    def __init__(self, city, seed, reporters=3, crews_per_district=3, pause=0.25):
        self.city, self.seed, self.pause = city, seed, pause
        self.reporters, self.crews_per_district = reporters, crews_per_district
        self.accepted, self.faults, self.done = [], [], 0
        self.reporting, self.working = threading.Event(), threading.Event()
        self._threads, self._lock = [], threading.Lock()

    def start(self):
        self.reporting.set(), self.working.set()
        for number in range(self.reporters):
            self._run(self._report, number)
        for slug in ("nanshan", "futian", "luohu"):
            for number in range(1, self.crews_per_district + 1):
                self._run(self._work, f"crew-{slug}-{number}")
        self._run(self._close)

    def _run(self, what, *arguments):
        def guarded():
            try:
                what(*arguments)
            except Exception as error:  # what a person met that the API does not allow for
                self.faults.append(f"{what.__name__}{arguments}: {error!r}")

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop_reporting(self):
        self.reporting.clear()

    def stop(self):
        self.reporting.clear(), self.working.clear()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads), "somebody has waited two minutes for an answer"

    def _insist(self, send, seconds=300):
        """Sends the same again until the answer is one: not a lost connection, 429 or 5xx."""
        end, wait = time.monotonic() + seconds, 0.2
        last = None
        while time.monotonic() < end:
            try:
                answer = send()
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
                last = answer.text[:300]
            except httpx.TransportError as error:
                last = repr(error)
            time.sleep(wait)
            wait = min(wait * 1.5, 2)
        raise AssertionError(f"no answer within {seconds} s: {last}")

    def _report(self, number):
        chance = random.Random(self.seed * 100 + number)
        slugs = ["nanshan", "futian", "luohu"]
        while self.reporting.is_set():
            # Half of them near each other, so that reports join cases while others work on these.
            person = self.city.person()
            slug = chance.choice(slugs)
            with self._lock:
                place = self.city.place(slug)
            if chance.random() < 0.5:
                place = {"lon": 113.99 + 0.06 * slugs.index(slug) + chance.random() * 2e-3, "lat": 22.55}
            body = {
                "category": chance.choice(CATEGORIES), "description": f"第{chance.randrange(10**6)}号",
                "person_at_risk": chance.random() < 0.05, **place}
            key = secrets.token_hex(12)
            answer = self._insist(lambda: person.act("/v1/reports", body, key=key, timeout=15))
            assert answer.status_code == 201, answer.text
            with self._lock:
                self.accepted.append(answer.json()["id"])
            person.close()
            time.sleep(self.pause * chance.uniform(0.5, 1.5))

    def _work(self, login):
        crew = self.city.person(login)
        key = secrets.token_hex(12)
        started = self._insist(lambda: crew.act("/v1/shifts", {}, key=key, timeout=15))
        assert started.status_code in (201, 409), started.text
        following = {"assigned": "accept", "accepted": "en_route", "planned": "accept", "en_route": "on_site", "on_site": "done"}
        while self.working.is_set():
            answer = self._insist(lambda: crew.get("/v1/orders", params={"open": "true", "limit": 20}, timeout=15))
            assert answer.status_code == 200, answer.text
            orders = sorted(answer.json()["items"], key=lambda o: (
                o["state"] not in ("en_route", "on_site"), not o["emergency"], o["assigned_at"]))
            for order in orders[:1]:
                kind = following.get(order["state"])
                if kind:
                    step = {"id": new_id(), "kind": kind, "observed_at": now(), "based_on": order["version"]}
                    key = secrets.token_hex(12)
                    answer = self._insist(lambda: crew.act(
                        f"/v1/orders/{order['order_id']}/steps", {"steps": [step]}, key=key, timeout=15))
                    # An order may have been taken away meanwhile: the observation is kept all the same.
                    assert answer.status_code in (200, 404), answer.text
                    self.done += kind == "done"
            time.sleep(0.3)
        if started.status_code == 201:
            key, shift = secrets.token_hex(12), started.json()["shift_id"]
            self._insist(lambda: crew.act(f"/v1/shifts/{shift}/end", {}, key=key, timeout=15))

    def _close(self):
        dispatcher = self.city.person("dispatcher")
        while self.working.is_set():
            answer = self._insist(lambda: dispatcher.get(
                "/v1/cases", params={"state": "verification", "limit": 20}, timeout=15))
            assert answer.status_code == 200, answer.text
            for case in answer.json()["items"]:
                key, path = secrets.token_hex(12), f"/v1/cases/{case['case_id']}/close"
                answer = self._insist(lambda: dispatcher.act(
                    path, {"reason": "looked at"}, key=key, etag=case["version"], timeout=15))
                assert answer.status_code in (200, 409, 412), answer.text
            time.sleep(0.5)
