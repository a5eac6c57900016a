"""The city as its people meet it: HTTP through nginx, with the sample city's accounts."""

import secrets
import time
import uuid
from datetime import datetime, timezone

import httpx

DISTRICTS = {"nanshan": "440305", "futian": "440304", "luohu": "440303"}
# The sample city is a lattice (Services/Control/City/SampleMap.swift): four columns of grids a district, two rows.
WEST, SOUTH, WIDTH, HEIGHT = 113.960, 22.520, 0.015, 0.030


def new_id():
    """A version 7 UUID, as clients make them."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=bits))


def now():
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class Person(httpx.Client):
    """Somebody with a device of their own and perhaps a token. Waits as long as a broken machine would need."""

    def __init__(self, url, token=None, device=None):
        headers = {}
        self.device = device or secrets.token_urlsafe(24)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        else:
            headers["Sluice-Device"] = self.device
        super().__init__(base_url=url, headers=headers, timeout=60, trust_env=False)

    def act(self, path, body, key=None, etag=None, **options):
        """A POST with an idempotency key."""
        headers = {"Idempotency-Key": key or secrets.token_hex(12), **options.pop("headers", {})}
        if etag is not None:
            headers["If-Match"] = f'"{etag}"'
        return self.post(path, json=body, headers=headers, **options)

    def done(self, path, body, **options):
        """A POST that has to succeed."""
        answer = self.act(path, body, **options)
        assert answer.is_success, f"POST {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def seen(self, path, **options):
        """A GET that has to succeed."""
        answer = self.get(path, **options)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def step(self, order, kind, **more):
        """One observation of a crew about an order; answers with what became of it."""
        answer = self.done(
            f"/v1/orders/{order['order_id']}/steps",
            {"steps": [{
                "id": new_id(), "kind": kind, "observed_at": now(), "based_on": order["version"], **more}]})
        order.update(answer["order"])
        assert answer["steps"][0]["outcome"] == "applied", answer["steps"]
        return answer["steps"][0]

    def photo(self, order_id, content, kind="after", key=None, name="photo.jpg", content_type="image/jpeg", **fields):
        """Sends a photo of the work as a phone does; answers with the response."""
        return self.post(
            f"/v1/orders/{order_id}/attachments", headers={"Idempotency-Key": key or secrets.token_hex(12)},
            data={"id": new_id(), "kind": kind, "observed_at": now(), **fields},
            files=[("photo", (name, content, content_type))])

    def finish_work(self):
        """A crew finishes the job in its hands and hands back the rest."""
        for order in self.seen("/v1/orders", params={"open": "true", "limit": 200})["items"]:
            kinds = ["on_site", "done"] if order["state"] in ("en_route", "on_site") else ["decline"]
            self.act(f"/v1/orders/{order['order_id']}/steps", {"steps": [
                {"id": new_id(), "kind": kind, "observed_at": now(), "based_on": order["version"], "note": "end of test"}
                for kind in kinds]})

    def decide(self, case_id, act, body):
        """A dispatcher's decision on the case as it is now."""
        for _ in range(20):
            found = self.seen(f"/v1/cases/{case_id}")
            answer = self.act(f"/v1/cases/{case_id}/{act}", {"reason": "seen in a test", **body}, etag=found["version"])
            if answer.status_code != 412:  # a notice or a claim may have moved it meanwhile
                break
        assert answer.is_success, f"{act}: {answer.status_code} {answer.text}"
        return answer.json()


class City:
    """Accounts, places and crews of the sample city."""

    def __init__(self, stack):
        self.stack, self.url = stack, stack.url
        self._tokens, self._places = {}, {slug: secrets.randbelow(26 * 26) for slug in DISTRICTS}
        # A later run on the same stack does not meet the open cases of an earlier one.
        self._shift = secrets.randbelow(900) * 1e-6
        self.ids = {
            row["code"]: str(row["area_id"])
            for row in stack.rows("SELECT code, area_id FROM gis.area WHERE level = 'district'")}

    def district(self, slug):
        return self.ids[DISTRICTS[slug]]

    def token(self, login):
        if login not in self._tokens:
            self._tokens[login] = self.stack.sluicectl("token", login, "--minutes", "240")[1]["token"]
        return self._tokens[login]

    def person(self, login=None):
        return Person(self.url, self.token(login) if login else None)

    def place(self, slug):
        """A place in the district that is 200 m from every other one of this run: nothing merges by chance."""
        number = self._places[slug]
        self._places[slug] += 1
        column, row = number % 26, number // 26 % 26
        west = WEST + list(DISTRICTS).index(slug) * 4 * WIDTH
        return {
            "lon": round(west + 0.003 + column * 0.0021 + self._shift, 6),
            "lat": round(SOUTH + 0.003 + row * 0.0021 + self._shift, 6)}

    def calm(self, slug):
        """Sends the district's crews home and rejects its open cases, so that no other test's are before ours."""
        for row in self.stack.rows(
                "SELECT a.login, s.shift_id FROM dispatch.crew_slot s JOIN dispatch.crew_member m USING (crew_id)"
                " JOIN intake.account a USING (account_id)"
                " WHERE s.district_id = %s AND (s.shift_id IS NOT NULL OR s.active_order IS NOT NULL)",
                self.district(slug)):
            crew = self.person(row["login"])
            crew.finish_work()
            if row["shift_id"]:
                crew.act(f"/v1/shifts/{row['shift_id']}/end", {})
        dispatcher, left = self.person("dispatcher"), set()
        open_states = "received,filed,dispatched,handling,verification,reopened,suspended"
        while True:
            cases = [case for case in dispatcher.seen("/v1/cases", params={
                "district": self.district(slug), "state": open_states, "limit": 200})["items"]
                if case["case_id"] not in left]
            if not cases:
                return
            for case in cases:
                answers = (
                    dispatcher.act(
                        f"/v1/cases/{case['case_id']}/{act}", {"reason": "another test begins"}, etag=case["version"])
                    for act in ("reject", "close"))
                # What has moved meanwhile (412) is met again in the next round.
                if not any(answer.is_success or answer.status_code == 412 for answer in answers):
                    left.add(case["case_id"])

    def report(self, slug="futian", person=None, **fields):
        """Reports something as a stranger with a new device; answers with the receipt."""
        body = {"category": "cover_missing", "description": "", **self.place(slug), **fields}
        return (person or self.person()).done("/v1/reports", body)

    def case_of(self, receipt, dispatcher=None, seconds=90):
        """The case that a report has come to, once it has."""
        from stack import wait_for

        case_id = wait_for(
            lambda: [
                row["case_id"] for row in self.stack.rows(
                    "SELECT case_id FROM dispatch.api_report_state WHERE report_id = %s AND outcome = 'case'",
                    receipt["id"])],
            seconds, why=f"report {receipt['id']} has a case")[0]
        return dispatcher.seen(f"/v1/cases/{case_id}") if dispatcher else str(case_id)
