"""Bad input gets a 4xx problem+json that names the field, repeats nothing of it, and leaves nothing behind."""

import base64
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from city import new_id, now
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pictures import huge_png, png
from stack import wait_for

SQL = "'; DROP TABLE intake.report; --"
GOOD = {"category": "gully_blocked", "description": "ok"}


def problem(answer, status, code=None, field=None):
    """The answer is this error in the form that all services share; answers with its body."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status}: {answer.text[:500]}"
    assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
    body = answer.json()
    assert body["status"] == status and body["title"] and body["detail"] and body["detail_zh"] and body["trace_id"]
    if code:
        assert body["code"] == code, body
    if field is not None:
        assert field in [error["field"] for error in body["errors"]], body
        assert all(error["detail"] and error["detail_zh"] for error in body["errors"])
    return body


@pytest.fixture
def stranger(city):
    return city.person()


@pytest.fixture
def reports(stack):
    """How many reports there are."""
    return lambda: stack.value("SELECT count(*) FROM intake.report WHERE district_id <> sluice.canary()")


def raw(stranger, body, content_type="application/json", path="/v1/reports", **headers):
    return stranger.post(
        path, content=body,
        headers={"Content-Type": content_type, "Idempotency-Key": secrets.token_hex(12), **headers})


# Reports -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("change", "field"), [
    pytest.param({"category": 7}, "category", id="wrong type: number for text"),
    pytest.param({"lon": "114"}, "lon", id="wrong type: text for number"),
    pytest.param({"person_at_risk": "yes"}, "person_at_risk", id="wrong type: text for truth"),
    pytest.param({"contact": []}, "contact", id="wrong type: list for object"),
    pytest.param({"category": None}, "category", id="missing category"),
    pytest.param({"lon": None}, "lon", id="missing half of a place"),
    pytest.param({"lon": None, "lat": None}, "lon", id="missing place"),
    pytest.param({"category": "no_such_thing"}, "category", id="unknown category"),
    pytest.param({"category": "sentinel"}, "category", id="category that is not active"),
    pytest.param({"surprise": 1}, "surprise", id="unknown field"),
    pytest.param({"lon": 0.5, "lat": 0.5}, "lon", id="outside the city"),
    pytest.param({"lon": 181}, "lon", id="outside the world"),
    pytest.param({"lat": 1e300}, "lat", id="far outside the world"),
    pytest.param({"observed_at": "2099-01-01T00:00:00Z"}, "observed_at", id="future"),
    pytest.param({"observed_at": "1999-01-01T00:00:00Z"}, "observed_at", id="long ago"),
    pytest.param({"observed_at": "yesterday"}, "observed_at", id="no time"),
    pytest.param({"description": "x" * 2001}, "description", id="too long"),
    pytest.param({"description": "a\u0007b"}, "description", id="control character"),
    pytest.param({"contact": {"phone": SQL}}, "contact.phone", id="SQL as telephone number"),
    pytest.param({"contact": {"email": "nobody"}}, "contact.email", id="no mail address"),
    pytest.param({"channel": "sensor"}, "channel", id="a channel that strangers do not have"),
    pytest.param({"facility_code": SQL, "lon": None, "lat": None}, "facility_code", id="SQL as facility"),
    pytest.param({"community_code": SQL, "lon": None, "lat": None}, "community_code", id="SQL as community"),
    pytest.param({"language": "klingon"}, "language", id="a word that is not on the list"),
])
def test_a_report_with_a_wrong_field_is_refused_by_its_name(city, stranger, reports, change, field):
    before = reports()
    body = {key: value for key, value in {**GOOD, **city.place("futian"), **change}.items() if value is not None}
    answer = stranger.act("/v1/reports", body)
    found = problem(answer, 422, "invalid", field)
    assert "DROP TABLE" not in answer.text and "no_such_thing" not in answer.text, found
    assert reports() == before


def test_all_wrong_fields_are_named_at_once(stranger):
    body = problem(
        stranger.act("/v1/reports", {"category": "nope", "lon": 1, "lat": 1, "observed_at": "2099-01-01T00:00:00Z"}), 422)
    assert {"category", "observed_at", "lon"} <= {error["field"] for error in body["errors"]}


@pytest.mark.parametrize(("body", "content_type", "status"), [
    pytest.param(b"", "application/json", 400, id="empty"),
    pytest.param(b"{", "application/json", 400, id="cut off"),
    pytest.param(b"[" * 5_000 + b"]" * 5_000, "application/json", 400, id="deep"),
    pytest.param(b'{"a":' * 40 + b"1" + b"}" * 40, "application/json", 400, id="40 levels"),
    pytest.param(b'{"category":"\xff\xfe"}', "application/json", 400, id="broken UTF-8"),
    pytest.param(b'{"category":"\\ud800"}', "application/json", 400, id="half a surrogate"),
    pytest.param(b'{"category":"a","category":"b"}', "application/json", 400, id="a name twice"),
    pytest.param(b"{" + b" " * 40_000 + b"}", "application/json", 413, id="more than a report needs"),
    pytest.param(b"x" * (3 << 20), "application/json", 413, id="huge"),
    pytest.param(b"a=b", "application/x-www-form-urlencoded", 415, id="form"),
    pytest.param(b"<a/>", "text/xml", 415, id="xml"),
])
def test_a_body_that_is_not_a_report_is_refused(stranger, reports, body, content_type, status):
    before = reports()
    problem(raw(stranger, body, content_type), status)
    assert reports() == before


def test_sql_in_a_text_is_a_text(city, stack, stranger):
    place = city.place("futian")
    receipt = stranger.done("/v1/reports", {
        **GOOD, **place, "description": SQL, "address": SQL, "contact": {"name": SQL, "phone": "0755-1234567"}})
    assert stack.value("SELECT description FROM intake.report WHERE report_id = %s", receipt["id"]) == SQL
    for path in (f"/v1/reports/{SQL}", f"/v1/cases/{SQL}", f"/v1/attachments/{SQL}?code={SQL}"):
        assert stranger.get(path).status_code in (400, 401, 404, 422)
    dispatcher = city.person("dispatcher")
    for name in ("state", "emergency", "district", "street", "category", "since", "bbox", "cursor", "limit"):
        answer = dispatcher.get("/v1/cases", params={name: SQL})
        assert answer.status_code in (200, 400, 422), f"{name}: {answer.status_code} {answer.text}"
        if answer.status_code == 200:
            assert answer.json()["items"] == []


# Keys, versions ------------------------------------------------------------------------------------------------------

def test_a_key_is_asked_for_and_checked(city, stranger):
    body = {**GOOD, **city.place("futian")}
    problem(stranger.post("/v1/reports", json=body), 400, field="Idempotency-Key")
    problem(stranger.act("/v1/reports", body, key="short"), 400, field="Idempotency-Key")
    nobody = httpx.Client(base_url=stranger.base_url, timeout=60, trust_env=False)
    assert nobody.post("/v1/reports", json=body, headers={"Idempotency-Key": "k" * 12}).status_code in (400, 422)


def test_the_same_key_gives_the_same_answer_and_another_body_none(city, stranger, reports):
    body, key = {**GOOD, **city.place("futian")}, secrets.token_hex(12)
    before = reports()
    first, second = stranger.act("/v1/reports", body, key=key), stranger.act("/v1/reports", body, key=key)
    assert first.status_code == second.status_code == 201 and first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    problem(stranger.act("/v1/reports", {**body, "description": "other"}, key=key), 422, "idempotency_mismatch")
    assert reports() == before + 1
    # The key is its sender's: another device's equal key is another report.
    other = city.person().act("/v1/reports", body, key=key)
    assert other.status_code == 201 and other.json()["id"] != first.json()["id"]


def test_equal_keys_at_the_same_moment_make_one_report(city, reports):
    for _ in range(5):
        sender = city.person()
        body, key, before = {**GOOD, **city.place("futian")}, secrets.token_hex(12), reports()
        gate = threading.Barrier(8)

        def send():
            gate.wait()
            return sender.act("/v1/reports", body, key=key)

        with ThreadPoolExecutor(8) as pool:
            answers = [f.result() for f in [pool.submit(send) for _ in range(8)]]
        assert {a.status_code for a in answers} == {201}, [a.text for a in answers if a.status_code != 201]
        assert len({a.json()["id"] for a in answers}) == 1
        assert reports() == before + 1


def test_a_decision_on_what_has_changed_is_refused(city, dispatcher):
    case = city.case_of(city.report(category="gully_blocked"), dispatcher)
    path, body = f"/v1/cases/{case['case_id']}/priority", {"severity": 3, "reason": "seen"}
    problem(dispatcher.act(path, body), 428, "precondition_required")
    stale = dispatcher.act(path, body, etag=case["version"] + 7)
    problem(stale, 412, "stale")
    assert stale.headers["ETag"].strip('"').isdigit()
    problem(
        dispatcher.post(path, json=body, headers={"If-Match": "not a version", "Idempotency-Key": "k" * 12}),
        422, field="If-Match")
    problem(dispatcher.act(path, {"severity": 9, "reason": "x"}, etag=case["version"]), 422, field="severity")
    problem(dispatcher.act(path, {"severity": 3}, etag=case["version"]), 422, field="reason")


# Tokens --------------------------------------------------------------------------------------------------------------

def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _parts(token):
    head, body, _ = token.split(".")
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body)]


def _signed(head, body, key):
    text = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(body).encode())}"
    return f"{text}.{_b64(key.sign(text.encode())) if key else ''}"


def test_expired_forged_and_foreign_tokens_are_refused(city, stack):
    good = city.token("dispatcher")
    head, body = _parts(good)
    key = Ed25519PrivateKey.generate()
    cut = good.rsplit(".", 1)[0]
    forged = {
        "another key": _signed(head, body, key),
        "another key, as admin": _signed(head, {**body, "roles": ["admin"], "districts": ["*"]}, key),
        "no algorithm": _signed({**head, "alg": "none"}, body, None),
        "HS256 by the public key": _signed({**head, "alg": "HS256"}, body, key),
        "unknown kid": _signed({**head, "kid": "sentinel"}, body, key),
        "a kid with a path": _signed({**head, "kid": "../../etc/passwd"}, body, key),
        "no signature": cut + ".",
        "a changed claim": f"{cut.split('.')[0]}.{_b64(json.dumps({**body, 'roles': ['admin']}).encode())}.{good.split('.')[2]}",
        "not a token": "x.y.z",
        "very long": "a" * 6_000,
    }
    for name, token in forged.items():
        answer = httpx.get(
            f"{city.url}/v1/cases", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)
        assert answer.status_code in (400, 401), f"{name}: {answer.status_code}"
        # Also where none is needed: who shows a bad token is told.
        answer = httpx.get(
            f"{city.url}/v1/reports/NOPE", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)
        assert answer.status_code in (400, 401), f"{name} on an open route: {answer.status_code}"


def test_a_token_ends_with_its_account(city, stack):
    login = "passing-" + secrets.token_hex(3)
    admin = city.person("admin")
    made = admin.act("/v1/accounts", {
        "login": login, "display_name": "x", "roles": ["dispatcher"], "districts": [city.district("futian")],
        "password": secrets.token_hex(12)})
    assert made.status_code == 201, made.text
    person = city.person(login)
    assert person.get("/v1/cases").status_code == 200
    account = made.json()
    off = admin.patch(f"/v1/accounts/{account['id']}", json={"active": False}, headers={"If-Match": '"1"'})
    assert off.status_code == 200, off.text
    end = time.monotonic() + 30
    while (answer := person.get("/v1/cases")).status_code != 401:
        assert time.monotonic() < end, "a disabled account's token still works"
        time.sleep(0.3)
    problem(answer, 401)


def test_signing_in_with_a_wrong_password_says_nothing_more(city, stranger):
    known = stranger.act("/v1/session", {"login": "manager", "password": "wrong-" + secrets.token_hex(4)})
    unknown = stranger.act("/v1/session", {"login": "nobody-at-all", "password": "wrong"})
    problem(known, 401), problem(unknown, 401)
    assert known.json()["detail"] == unknown.json()["detail"]
    right = stranger.act("/v1/session", {"login": "manager", "password": "sluice-demo-2026"})
    if right.status_code == 429:  # the name has to wait a second after a failure
        time.sleep(float(right.headers["Retry-After"]) + 0.5)
        right = stranger.act("/v1/session", {"login": "manager", "password": "sluice-demo-2026"})
    assert right.status_code == 201 and right.json()["roles"] == ["manager"], right.text


# Photos --------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def code(city):
    return city.report(category="gully_blocked")["code"]


def photo(person, code, content, content_type="image/jpeg", name="photo.jpg"):
    return person.post(
        f"/v1/reports/{code}/attachments", files=[("photo", (name, content, content_type))],
        headers={"Idempotency-Key": secrets.token_hex(12)})


NO_PHOTOS = [
    pytest.param(b"MZ\x90\x00\x03" + b"\0" * 500, (415, 422), id="a program named .jpg"),
    pytest.param(b"", (400, 415, 422), id="nothing"),
    pytest.param(b"\xff\xd8\xff\xe0" + b"\0" * 100, (415, 422), id="a JPEG that ends at once"),
    pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", (415, 422), id="SVG"),
    pytest.param(b"GIF89a" + b"\0" * 60, (415, 422), id="GIF"),
    pytest.param(b"%PDF-1.7\n%%EOF", (415, 422), id="PDF"),
    pytest.param(huge_png(), (413, 422), id="30,000 × 30,000 pixels in 50 kB"),
    pytest.param(png(width=4_000_000_000 % (1 << 31), rows=0), (413, 415, 422), id="2³¹ pixels wide"),
]


@pytest.mark.parametrize(("content", "statuses"), NO_PHOTOS)
def test_what_is_not_a_photo_is_refused(city, code, content, statuses):
    answer = photo(city.person(), code, content)
    problem(answer, answer.status_code)
    assert answer.status_code in statuses, answer.text
    assert city.person().seen(f"/v1/reports/{code}")["photos"] == 0


@pytest.fixture(scope="module")
def job(city, stack):
    """An order of a crew's: (crew, order id)."""
    city.calm("nanshan")
    crews = [city.person(f"crew-nanshan-{number}") for number in range(1, 9)]
    shifts = [(crew, answer.json()["shift_id"]) for crew in crews
              if (answer := crew.act("/v1/shifts", {})).status_code == 201]
    case_id = city.case_of(city.report("nanshan", category="road_collapse"))
    order_id = wait_for(
        lambda: stack.rows("SELECT order_id FROM dispatch.work_order WHERE case_id = %s", case_id),
        why="a crew has the order")[0]["order_id"]
    crew = next(crew for crew in crews if crew.get(f"/v1/orders/{order_id}").status_code == 200)
    yield crew, order_id
    for crew, shift in shifts:
        crew.finish_work()
        crew.act(f"/v1/shifts/{shift}/end", {})


@pytest.mark.parametrize(("content", "statuses"), NO_PHOTOS)
def test_a_crews_photo_that_is_none_is_refused_too(job, content, statuses):
    crew, order_id = job
    answer = crew.photo(order_id, content)
    problem(answer, answer.status_code)
    assert answer.status_code in statuses, answer.text
    assert crew.seen(f"/v1/orders/{order_id}")["photos"] == []


def test_a_crews_photo_says_what_it_is(job):
    crew, order_id = job
    for field, value in [("id", "7"), ("kind", "selfie"), ("observed_at", "yesterday"), ("observed_at", "2099-01-01T00:00:00Z")]:
        answer = crew.photo(order_id, png(), content_type="image/png", **{field: value})
        problem(answer, 422, field=field)
    problem(crew.photo(order_id, png(), content_type="image/png", note="x"), 422, field="note")
    answer = crew.photo(order_id, png()[:8] + secrets.token_bytes(16 << 20), content_type="image/png")
    problem(answer, 413, field="photo")
    problem(crew.post(f"/v1/orders/{order_id}/attachments", content=b"{}", headers={
        "Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(8)}), 415)
    assert crew.seen(f"/v1/orders/{order_id}")["photos"] == []


def test_a_bad_photo_does_not_cost_the_report(city, stranger):
    report = json.dumps({**GOOD, **city.place("futian")})
    answer = stranger.post(
        "/v1/reports", headers={"Idempotency-Key": secrets.token_hex(8)},
        files=[("report", ("r.json", report, "application/json")), ("photo", ("a.jpg", b"MZ" + b"\0" * 99, "image/jpeg"))])
    assert answer.status_code == 201 and answer.json()["photos"][0]["refused"]["code"], answer.text


def test_too_many_bytes_are_refused_before_they_are_kept(city, code):
    answer = photo(city.person(), code, png()[:8] + secrets.token_bytes(17 << 20), "image/png")
    assert answer.status_code == 413, answer.status_code


# Others --------------------------------------------------------------------------------------------------------------

def test_another_districts_id_is_refused(city):
    futian = city.person("dispatcher-futian")
    problem(futian.get("/v1/cases", params={"district": city.district("luohu")}), 403, "forbidden", "district")
    problem(futian.get("/v1/storm", params={"district": city.district("luohu")}), 403, "forbidden", "district")
    problem(futian.get(f"/v1/cases/{new_id()}"), 404, "not_found")
    answer = futian.act("/v1/crews", {
        "district_id": city.district("luohu"), "name": "x", "skills": [], "depot_lon": 114.1, "depot_lat": 22.55})
    problem(answer, 403, "forbidden", "district_id")


def test_a_crews_impossible_observations_are_refused(city, on_shift):
    crew = city.person("crew-nanshan-8")
    step = {"id": new_id(), "kind": "accept", "observed_at": "2099-01-01T00:00:00Z", "based_on": 1}
    path = f"/v1/orders/{new_id()}/steps"
    problem(crew.act(path, {"steps": [step]}), 422, field="steps[0].observed_at")
    problem(crew.act(path, {"steps": []}), 422, field="steps")
    problem(crew.act(path, {"steps": [{**step, "kind": "fly"}]}), 422, field="steps[0].kind")
    good = {**step, "observed_at": now()}
    problem(crew.act(path, {"steps": [good, good]}), 422, field="steps[1].id")


def test_unknown_addresses_and_methods_are_problems_too(city, stranger):
    problem(stranger.get("/v1/nothing/here"), 404)
    answer = stranger.put("/v1/reports", json={})
    problem(answer, 405)
    for path, allowed in [("/v1/cases", "POST"), ("/", "GET"), ("/nothing.html", "GET")]:
        answer = stranger.request("TRACE", path)
        problem(answer, 405)
        assert allowed in answer.headers["Allow"], (path, answer.headers)
    answer = stranger.delete("/")
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"
    for path in ("/metrics", "/health/ready", "/v1/../metrics", "/intake/metrics"):
        assert stranger.get(path).status_code in (400, 404), f"{path} is open to strangers"


def test_errors_name_who_has_to_sign_in(city, stranger):
    for path in ("/v1/cases", "/v1/orders", "/v1/crews", "/v1/notices", "/v1/offices", "/v1/channels", "/v1/accounts",
                 "/v1/evidence", "/v1/indicators/7", "/v1/live", "/v1/facilities", "/v1/scaling"):
        problem(stranger.get(path), 401, "unauthorised")
