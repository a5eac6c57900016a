"""A report's whole life through the five services, as the people in it see it."""

import json
import re
import secrets

import pytest
from pictures import jpeg_with_place, png
from stack import wait_for
from standardwebhooks.webhooks import Webhook

LINK = re.compile(r"(http://\S+)/a/([A-Za-z0-9_-]{16,32})#(\S+)")


@pytest.fixture
def street_hook(city, hook):
    """A webhook for the first contact of Shatou's street office; answers with its secret."""
    admin = city.person("admin")
    offices = []
    cursor = None
    while True:
        page = admin.seen("/v1/offices", params={"limit": 200, **({"cursor": cursor} if cursor else {})})
        offices += page["items"]
        if not (cursor := page["next"]):
            break
    office = next(office for office in offices if office["name_en"].startswith("Shatou"))
    first = next(person for person in office["recipients"] if person["level"] == 1)
    made = admin.act(
        "/v1/channels", {"recipient_id": first["id"], "kind": "webhook", "address": f"{hook.url}/office"})
    assert made.status_code == 201, made.text
    channel = made.json()
    assert f"{hook.url}/office" not in json.dumps(admin.seen("/v1/channels", params={"limit": 200})), "masked"
    yield {**channel, "office": office, "recipient": first}
    admin.patch(f"/v1/channels/{channel['id']}", json={"active": False}, headers={"If-Match": '"1"'})


def figures(manager, **area):
    return manager.seen("/v1/indicators/7", params=area)


def test_an_emergency_from_the_first_report_to_the_indicator(
        city, stack, dispatcher, street_hook, hook, mailbox, on_shift, tmp_path):
    crew = on_shift("crew-futian-3")
    manager = city.person("manager")
    place = {"lon": 114.024 + secrets.randbelow(20_000) * 1e-6, "lat": 22.525 + secrets.randbelow(20_000) * 1e-6}  # in Shatou
    street = street_hook["office"]["street_id"]
    before = figures(manager, level="street", id=street)

    # A resident reports, with a photo and a telephone number, and gets a code at once.
    resident = city.person()
    phone, name = "13900007" + str(secrets.randbelow(900) + 100), "王小明甲"
    words = "井盖没了，旁边有小孩 " + secrets.token_hex(4)
    report = {
        "category": "cover_missing", "description": words, **place, "address": "样例路 7 号",
        "contact": {"name": name, "phone": phone, "email": "wang@example.org"}}
    photo = jpeg_with_place(tmp_path)
    answer = resident.post(
        "/v1/reports", headers={"Idempotency-Key": secrets.token_hex(8)},
        files=[("report", ("report.json", json.dumps(report), "application/json")), ("photo", ("a.jpg", photo, "image/jpeg"))])
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["emergency"] is True and receipt["code"] and receipt["reason"]["zh"]
    assert "refused" not in receipt["photos"][0], receipt["photos"]
    sha256 = receipt["photos"][0]["sha256"]

    # A case is opened and the crew that can do it is claimed, with the reason kept.
    case = city.case_of(receipt, dispatcher)
    case_id = case["case_id"]
    case = wait_for(
        lambda: (found := dispatcher.seen(f"/v1/cases/{case_id}"))["order_id"] and found, why="a crew is claimed")
    assert case["emergency"] and case["state"] == "dispatched", case["state"]
    assert any(d["kind"] == "triage" for d in case["decisions"]) and any(d["kind"] == "claim" for d in case["decisions"])
    assert all(d["reason"]["zh"] and d["reason"]["en"] for d in case["decisions"])
    assert case["photos"][0]["sha256"] == sha256
    assert [r["report_id"] for r in case["reports"]] == [receipt["id"]]

    # The street office is told by webhook, signed after Standard Webhooks …
    call = wait_for(lambda: hook.about(case_id), why="a webhook about the case")[0]
    verified = Webhook(street_hook["secret"]).verify(call["body"], {k.lower(): v for k, v in call["headers"].items()})
    assert verified["type"] == "notice.emergency" and verified["data"]["case_id"] == case_id
    forged = bytearray(call["body"])
    forged[-3] ^= 1
    with pytest.raises(Exception, match="(?i)signature|json"):
        Webhook(street_hook["secret"]).verify(bytes(forged), {k.lower(): v for k, v in call["headers"].items()})

    # … and by mail, with a link. Neither carries what is the resident's.
    mail, text = wait_for(
        lambda: [m for m in mailbox.about(case["number"]) if "duty-shatou" in str(m[0]["To"])], why="a mail")[0]
    for secret in (phone, name, words, "wang@example.org", receipt["code"]):
        assert secret not in text and secret not in str(mail) and secret.encode() not in call["body"]
    base, kid, token = LINK.search(text).groups()
    assert base == city.url

    # Fetching the link, as mail scanners do, acknowledges nothing; a named person's act does.
    stranger = city.person()
    page = stranger.get(f"/a/{kid}")
    assert page.status_code == 200 and page.headers["Referrer-Policy"] == "no-referrer"
    seen = stranger.post("/a/view", json={"kid": kid, "token": token})
    assert seen.status_code == 200 and seen.json()["acknowledged_at"] is None, seen.text
    assert seen.json()["case"]["case_id"] == case_id
    wrong = stranger.post("/a/acknowledge", json={"kid": kid, "token": token[:-2] + "AA", "name": "x"})
    assert wrong.status_code == 404
    nameless = stranger.post("/a/acknowledge", json={"kid": kid, "token": token, "name": ""})
    assert nameless.status_code == 422 and nameless.json()["errors"][0]["field"] == "name"
    done = stranger.post("/a/acknowledge", json={"kid": kid, "token": token, "name": "李值班"})
    assert done.status_code == 200 and done.json()["state"] == "acknowledged", done.text
    comment = stranger.post(
        "/a/comments", json={"kid": kid, "token": token, "name": "李值班", "body": "已围蔽"},
        headers={"Idempotency-Key": secrets.token_hex(12)})
    assert comment.status_code == 201, comment.text
    wait_for(
        lambda: any(n["state"] == "acknowledged" for n in dispatcher.seen(f"/v1/cases/{case_id}")["notices"]),
        why="dispatch sees the acknowledgement")

    # The crew accepts, drives, is there, is done.
    orders = crew.seen("/v1/orders", params={"open": "true"})["items"]
    order = next(order for order in orders if order["case_id"] == case_id)
    for kind in ("accept", "en_route", "on_site"):
        crew.step(order, kind)
    work = crew.photo(order["order_id"], photo, "before")
    assert work.status_code == 201, work.text
    crew.step(order, "done", note="已补装井盖", photos=[work.json()["source_sha256"]])
    assert order["state"] == "done"

    # The dispatcher sees the photo of the work with the case: ours, without place and camera.
    shown = dispatcher.seen(f"/v1/cases/{case_id}")
    assert [(p["kind"], p["order_id"]) for p in shown["order_photos"]] == [("before", order["order_id"])]
    assert shown["order_photos"][0]["lat"] == pytest.approx(22.535, abs=0.01), "what the camera wrote is kept beside it"
    for place in (shown["order_photos"][0], shown["photos"][0], crew.seen(f"/v1/orders/{order['order_id']}")["photos"][0]):
        for address in (place["url"], place["thumbnail_url"]):
            picture = dispatcher.get(address)
            assert picture.status_code == 200 and picture.headers["Content-Type"] == "image/jpeg", picture.text
            assert b"SecretCamera" not in picture.content and b"Exif" not in picture.content
    assert stranger.get(shown["order_photos"][0]["url"]).status_code == 401

    # It is checked and closed.
    wait_for(lambda: dispatcher.seen(f"/v1/cases/{case_id}")["state"] == "verification", why="work to be verified")
    assert dispatcher.decide(case_id, "verify", {"passed": True})["state"] == "closed"

    # Indicator 7 of the street moves by this case, and names it.
    def moved():
        after = figures(manager, level="street", id=street)
        return after["in_time"] + after["late"] > before["in_time"] + before["late"] and after
    after = wait_for(moved, why="the street's indicator counts the case")
    assert after["in_time"] == before["in_time"] + 1, after
    listed = manager.seen("/v1/indicators/7/cases", params={"level": "street", "id": street, "limit": 200})["items"]
    mine = [item for item in listed if item["case_id"] == case_id]
    assert [item["verdict"] for item in mine] == ["in_time"], mine

    # What everybody may see shows what was done, and nothing of anybody.
    public = resident.seen(f"/v1/reports/{receipt['code']}")
    facts = [step["fact"] for step in public["timeline"]]
    for fact in ("received", "filed", "dispatched", "en_route", "on_site", "done", "closed"):
        assert fact in facts, facts
    assert public["state"] == "closed"
    shown = json.dumps(public, ensure_ascii=False)
    crew_name = order["crew_name"]
    for secret in (phone, name, words, "wang@", "样例路", crew_name, case_id, receipt["id"], order["order_id"], "114.0",
                   "22.5", sha256, "李值班"):
        assert secret not in shown, f"the public page shows {secret}"
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-7", shown), "the public page shows an id"

    # The photo that is shown is ours: no place, no camera. A stranger without the code sees none.
    shown = resident.get(f"/v1/attachments/{sha256}", params={"code": receipt["code"]})
    assert shown.status_code == 200 and shown.headers["Content-Type"] == "image/jpeg"
    assert b"SecretCamera" in photo and b"SecretCamera" not in shown.content and b"Exif" not in shown.content
    assert stranger.get(f"/v1/attachments/{sha256}").status_code == 401

    # The link is over with the case.
    over = wait_for(
        lambda: (a := stranger.post("/a/view", json={"kid": kid, "token": token})).status_code == 410 and a,
        why="the link is withdrawn")
    assert over.json()["code"] == "link_withdrawn"
    # Received and filed may bear the same time; what was first stands first.
    assert facts[:3] == ["received", "filed", "dispatched"] and facts[-1] == "closed", facts


    # The resident asks to be forgotten. The case stays; who reported it stands nowhere, in no service's tables.
    admin = city.person("admin")
    assert admin.done(f"/v1/contacts/{receipt['id']}/erase", {"purpose": "the resident asked for it"})["erased_reports"] >= 1
    for table in stack.rows(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text"
            " IN ('sluice', 'intake', 'dispatch', 'gis', 'scoring', 'notification')"):
        for secret in (phone, name, "wang@example.org"):
            found = stack.value(
                f"SELECT count(*) FROM {table['name']} t WHERE position(%s in t::text) > 0"
                " OR position(encode(convert_to(%s, 'UTF8'), 'hex') in t::text) > 0", secret, secret)
            assert found == 0, f"{table['name']} holds {secret}"
    assert dispatcher.act(f"/v1/contacts/{receipt['id']}/look", {"purpose": "call back"}).status_code == 410
    assert dispatcher.seen(f"/v1/cases/{case_id}")["state"] == "closed"


def test_a_routine_request_waits_its_turn_and_is_done(city, dispatcher, on_shift, hook):
    crew = on_shift("crew-luohu-1")
    receipt = city.report("luohu", category="gully_blocked", description="雨水口堵了")
    assert receipt["emergency"] is False
    case_id = city.case_of(receipt)
    order = wait_for(
        lambda: [o for o in crew.seen("/v1/orders", params={"open": "true", "limit": 200})["items"]
                 if o["case_id"] == case_id], why="the order is in the crew's list")[0]
    for kind in ("accept", "en_route", "on_site", "done"):
        crew.step(order, kind, note="已清掏")
    wait_for(lambda: dispatcher.seen(f"/v1/cases/{case_id}")["state"] == "verification")
    assert dispatcher.decide(case_id, "close", {})["state"] == "closed"
    assert not hook.about(case_id), "nobody is woken for a blocked gully"
    assert city.person().seen(f"/v1/reports/{receipt['code']}")["state"] == "closed"


def test_a_days_work_sent_late_and_twice_is_kept_once(city, stack):
    """A phone without signal: the start of the shift, all steps in one batch, and the end, each sent again since no
    answer came."""
    from city import new_id, now

    city.calm("luohu")
    crew = city.person("crew-luohu-5")

    def send(path, **said):
        return crew.act(path, {"device": "phone", "device_clock": now(), **said})

    shift, start = new_id(), {"observed_at": now(), **city.place("luohu")}
    began = send("/v1/shifts", id=shift, **start)
    assert began.status_code == 201 and began.json()["shift_id"] == shift, began.text
    assert began.json()["outcome"] == "applied" and not began.json()["replayed"], began.text
    again = send("/v1/shifts", id=shift, **start)
    assert again.status_code == 201 and again.json() == {**began.json(), "replayed": True}, again.text
    taken = send("/v1/shifts", id=shift, **{**start, "observed_at": now()})
    assert taken.status_code == 409 and taken.json()["code"] == "id_taken", taken.text

    receipt = city.report("luohu", category="gully_blocked")
    case_id = city.case_of(receipt)
    order = wait_for(
        lambda: [order for order in crew.seen("/v1/orders", params={"open": "true", "limit": 200})["items"]
                 if order["case_id"] == case_id], why="the crew has the order")[0]
    steps = [
        {"id": new_id(), "kind": kind, "observed_at": now(), "based_on": order["version"]}
        for kind in ("accept", "en_route", "on_site", "done")]
    first = crew.done(f"/v1/orders/{order['order_id']}/steps", {"device": "phone", "device_clock": now(), "steps": steps})
    assert [s["outcome"] for s in first["steps"]] == ["applied"] * 4, first
    # Another key, the same ids: the phone restarted in between.
    again = crew.done(f"/v1/orders/{order['order_id']}/steps", {"device": "phone", "device_clock": now(), "steps": steps})
    assert [s["replayed"] for s in again["steps"]] == [True] * 4
    assert again["order"]["version"] == first["order"]["version"]
    assert stack.value("SELECT count(*) FROM dispatch.order_step WHERE order_id = %s", order["order_id"]) == 4

    # And the day's photos after it: each sent twice under its id, once with a new key since no answer came.
    photos = [(kind, new_id(), png(colour=tuple(secrets.token_bytes(3)))) for kind in ("before", "during", "after")]
    for kind, photo_id, content in photos:
        fields = {"id": photo_id, "observed_at": now(), "name": "a.png", "content_type": "image/png"}
        first = crew.photo(order["order_id"], content, kind, key=photo_id, **fields)
        assert first.status_code == 201 and not first.json()["replayed"], first.text
        again = crew.photo(order["order_id"], content, kind, key=photo_id, **fields)
        assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
        restarted = crew.photo(order["order_id"], content, kind, **fields)
        assert restarted.json() == {**first.json(), "replayed": True}, restarted.text
    taken = crew.photo(order["order_id"], png(width=20), id=photos[0][1], content_type="image/png")
    assert taken.status_code == 409 and taken.json()["code"] == "id_taken", taken.text
    kept = crew.seen(f"/v1/orders/{order['order_id']}")["photos"]
    assert [photo["id"] for photo in kept] == [photo_id for _, photo_id, _ in photos]
    assert [photo["kind"] for photo in kept] == ["before", "during", "after"]

    # The end of the shift, sent twice; then a colleague's, who did not know.
    end = {"observed_at": now()}
    ended = send(f"/v1/shifts/{shift}/end", **end)
    assert ended.status_code == 200 and ended.json()["outcome"] == "applied", ended.text
    again = send(f"/v1/shifts/{shift}/end", **end)
    assert again.json() == {**ended.json(), "replayed": True}, again.text
    other = send(f"/v1/shifts/{shift}/end", observed_at=now())
    assert other.json() == {**ended.json(), "outcome": "late"}, other.text

    # Another shift comes with its end before its start: both are kept, and nobody is at work by it.
    shift, start = new_id(), {"observed_at": now(), **city.place("luohu")}
    ended = send(f"/v1/shifts/{shift}/end", observed_at=now())
    assert ended.status_code == 200 and ended.json()["started_at"] is None, ended.text
    began = send("/v1/shifts", id=shift, **start)
    assert began.status_code == 201 and began.json()["outcome"] == "late", began.text
    assert began.json()["ended_at"] == ended.json()["ended_at"] and began.json()["started_at"], began.text
    assert [mine["on_shift"] for mine in crew.seen("/v1/crews")["items"]] == [False]
    assert stack.value("SELECT count(*) FROM dispatch.shift WHERE shift_id = %s", shift) == 1


def test_the_second_contact_is_told_when_nobody_acknowledges(city, dispatcher, mailbox):
    # The wait is 20 s on this stack (stack.py), three minutes and more in a city.
    receipt = city.report("nanshan", category="road_collapse", description="路面塌陷")
    case = city.case_of(receipt, dispatcher)

    def told():
        return {str(mail["To"]) for mail, _ in mailbox.about(case["number"])}
    wait_for(lambda: any("duty-" in to for to in told()), why="the first contact is told")
    wait_for(lambda: any("chief-" in to for to in told()), 120, why="the second contact is told")
    states = wait_for(
        lambda: (n := {n["purpose"]: n["state"] for n in dispatcher.seen(f"/v1/cases/{case['case_id']}")["notices"]})
        and "escalation" in n and n, why="dispatch shows the escalation")
    assert states["emergency"] == "escalated", states
