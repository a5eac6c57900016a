"""Another district's rows: tried by every role, view, partition, token, signed link and live stream."""

import json
import secrets
import threading

import httpx
import psycopg
import pytest
from city import new_id, now
from pictures import png
from stack import wait_for

HTTP_ROLES = ["intake", "dispatch", "gis", "scoring", "notification"]
# The map is for everybody: names and boundaries, no people (design: map facts are readable city-wide).
OPEN_TO_ALL = {"gis"}


@pytest.fixture(scope="module")
def theirs(city, stack, request):
    """An emergency of Luohu with photo, crew and notice: what nobody of Futian may see."""
    report = json.dumps({
        "category": "road_collapse", "description": "罗湖 " + secrets.token_hex(4), **city.place("luohu"),
        "contact": {"phone": "13800138000"}})
    crews = [city.person(f"crew-luohu-{n}") for n in (3, 5, 7)]
    shifts = []
    for crew in crews:
        answer = crew.act("/v1/shifts", {})
        if answer.status_code == 201:
            shifts.append((crew, answer.json()["shift_id"]))
    answer = city.person().post(
        "/v1/reports", headers={"Idempotency-Key": secrets.token_hex(8)},
        files=[("report", ("r.json", report, "application/json")),
               ("photo", ("a.png", png(colour=tuple(secrets.token_bytes(3))), "image/png"))])
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    dispatcher = city.person("dispatcher-luohu")
    case_id = city.case_of(receipt)
    case = wait_for(
        lambda: (c := dispatcher.seen(f"/v1/cases/{case_id}"))["order_id"] and c["notices"] and c,
        why="the case has a crew and a notice")
    # The crew that has it takes a photo of the work.
    crew = next(c for c in crews if c.get(f"/v1/orders/{case['order_id']}").status_code == 200)
    photo = crew.photo(case["order_id"], png(colour=tuple(secrets.token_bytes(3))), "before", content_type="image/png")
    assert photo.status_code == 201, photo.text
    yield {"receipt": receipt, "case": case, "photo": photo.json(), "shift": stack.one(
        "SELECT shift_id, crew_id FROM dispatch.shift WHERE crew_id = %s AND ended_at IS NULL", case["crew_id"])}
    for crew, shift in shifts:
        crew.act(f"/v1/shifts/{shift}/end", {})


def marks(theirs):
    """Words that must not appear in what Futian is shown."""
    case, receipt = theirs["case"], theirs["receipt"]
    return [
        case["case_id"], receipt["id"], case["order_id"], receipt["photos"][0]["sha256"],
        theirs["photo"]["id"], theirs["photo"]["sha256"],
        *[notice["notice_id"] for notice in case["notices"]]]


LISTS = {
    "dispatcher-futian": [
        "/v1/cases", "/v1/orders", "/v1/crews", "/v1/notices", "/v1/offices", "/v1/cases?emergency=true",
        "/v1/cases?category=road_collapse", "/v1/notices?emergency=true"],
    "manager-futian": ["/v1/cases", "/v1/orders", "/v1/crews", "/v1/notices"],
    "office-shatou": ["/v1/cases", "/v1/notices", "/v1/offices"],
    "crew-futian-1": ["/v1/cases", "/v1/orders", "/v1/crews"],
}


@pytest.mark.parametrize("login", LISTS)
def test_lists_show_nothing_of_another_district(city, theirs, login):
    person = city.person(login)
    for path in LISTS[login]:
        cursor = None
        for _ in range(20):
            answer = person.get(path, params={
                **dict(httpx.URL(path).params), "limit": 200, **({"cursor": cursor} if cursor else {})})
            assert answer.status_code in (200, 403), f"{path}: {answer.status_code} {answer.text}"
            for mark in marks(theirs):
                assert mark not in answer.text, f"{login} sees {mark} in {path}"
            if answer.status_code == 403 or not (cursor := answer.json()["next"]):
                break


@pytest.mark.parametrize("login", LISTS)
def test_one_thing_of_another_district_is_not_there(city, theirs, login):
    person, case = city.person(login), theirs["case"]
    notice = case["notices"][0]["notice_id"]
    sha256 = theirs["receipt"]["photos"][0]["sha256"]
    looks = [
        f"/v1/cases/{case['case_id']}", f"/v1/orders/{case['order_id']}", f"/v1/notices/{notice}",
        f"/v1/attachments/{sha256}", f"/v1/attachments/{sha256}?size=thumbnail",
        theirs["photo"]["url"], theirs["photo"]["thumbnail_url"], f"/v1/attachments/{theirs['photo']['sha256']}",
        f"/v1/cases?district={city.district('luohu')}", f"/v1/crews?district={city.district('luohu')}",
        f"/v1/storm?district={city.district('luohu')}",
        f"/v1/indicators/7?level=district&id={city.district('luohu')}", "/v1/indicators/7?level=city",
        f"/v1/indicators/7/cases?level=street&id={case['street_id']}", f"/v1/evidence?aggregate_id={case['case_id']}"]
    for path in looks:
        answer = person.get(path)
        if answer.status_code == 200:  # a list that is empty, or a level of none
            for mark in marks(theirs):
                assert mark not in answer.text, f"{login} sees {mark} in {path}"
            body = answer.json()
            assert not body.get("items"), f"{login}: {path} {answer.text[:200]}"
            assert body.get("level") in (None, "none"), f"{login}: {path} {answer.text[:200]}"
        else:
            assert answer.status_code in (403, 404), f"{login}: {path} {answer.status_code}"


@pytest.mark.parametrize("login", LISTS)
def test_nobody_acts_on_another_districts_things(city, stack, theirs, login):
    person, case = city.person(login), theirs["case"]
    notice, shift = case["notices"][0]["notice_id"], theirs["shift"]
    before = stack.one("SELECT version, state FROM dispatch.case_file WHERE case_id = %s", case["case_id"])
    acts = {
        f"/v1/cases/{case['case_id']}/{act}": {"reason": "mine now", **body}
        for act, body in {
            "close": {}, "reject": {}, "suspend": {}, "reopen": {}, "priority": {"severity": 1},
            "reassign": {"crew_id": None}, "merge": {"into": new_id()}, "verify": {"passed": True}}.items()}
    acts |= {
        f"/v1/orders/{case['order_id']}/steps": {
            "steps": [{"id": new_id(), "kind": "accept", "observed_at": now(), "based_on": 1}]},
        f"/v1/notices/{notice}/acknowledge": {}, f"/v1/notices/{notice}/comments": {"body": "mine now"},
        f"/v1/shifts/{shift['shift_id']}/end": {},
        f"/v1/crews/{shift['crew_id']}/position": {"lon": 114.05, "lat": 22.55, "observed_at": now()},
        f"/v1/crews/{shift['crew_id']}/loans": {
            "district_id": city.district("futian"), "until": "2099-01-01T00:00:00Z"},
    }
    for path, body in acts.items():
        answer = person.act(path, body, etag=before["version"])
        assert answer.status_code in (403, 404, 422), f"{login}: {path} {answer.status_code} {answer.text}"
    photo = person.photo(case["order_id"], png(), content_type="image/png")
    assert photo.status_code in (403, 404), f"{login}: {photo.status_code} {photo.text}"
    storm = person.put(
        "/v1/storm", params={"district": city.district("luohu")}, json={"level": "red"}, headers={"If-Match": '"0"'})
    assert storm.status_code in (403, 404), storm.text
    after = stack.one("SELECT version, state FROM dispatch.case_file WHERE case_id = %s", case["case_id"])
    # The office may have acknowledged or the clock may have spoken meanwhile; nothing that Futian asked for was done.
    assert after["state"] not in ("closed", "rejected", "suspended", "merged")
    assert not stack.rows(
        "SELECT FROM dispatch.decision d JOIN intake.account a ON d.actor = 'account:' || a.account_id"
        " WHERE d.case_id = %s AND a.login = %s", case["case_id"], login)


def test_a_crew_acts_on_its_own_orders_only(city, theirs):
    """The same district is not enough."""
    for number in range(1, 9):
        crew = city.person(f"crew-luohu-{number}")
        mine = theirs["case"]["order_id"] in crew.get("/v1/orders", params={"limit": 200}).text
        answer = crew.get(f"/v1/orders/{theirs['case']['order_id']}")
        assert answer.status_code == (200 if mine else 404), f"crew-luohu-{number}: {answer.status_code}"
        assert crew.get(theirs["photo"]["url"]).status_code == (200 if mine else 404)
        if not mine:
            assert crew.photo(theirs["case"]["order_id"], png(), content_type="image/png").status_code == 404


def test_the_live_stream_carries_ones_own_district_only(city, theirs):
    person, seen, ready, stop = city.person("dispatcher-futian"), [], threading.Event(), threading.Event()

    def listen():
        with person.stream("GET", "/v1/live", timeout=httpx.Timeout(10, read=60)) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                seen.append(line)
                ready.set()
                if stop.is_set():
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert ready.wait(30)
    foreign = city.case_of(city.report("luohu", category="gully_blocked"))
    own = city.case_of(city.report("futian", category="gully_blocked"))
    wait_for(lambda: any(own in line for line in seen), why="the stream shows one's own case")
    stop.set()
    text = "\n".join(seen)
    assert foreign not in text and city.district("luohu") not in text
    # Catching up is no way round either.
    number = next(line for line in seen if line.startswith("id:")).split(":")[1].strip()
    caught = []
    with person.stream(
            "GET", "/v1/live", headers={"Last-Event-ID": str(max(0, int(number) - 1))},
            timeout=httpx.Timeout(10, read=60)) as answer:
        for line in answer.iter_lines():
            caught.append(line)
            if own in line:
                break
    assert foreign not in "\n".join(caught)


def test_a_crew_and_a_stranger_have_no_stream(city):
    assert city.person("crew-futian-1").get("/v1/live").status_code == 403
    assert city.person().get("/v1/live").status_code == 401


def test_a_link_opens_its_own_notice_only(city, stack, mailbox, theirs):
    from test_story import LINK

    links = []
    mails = wait_for(lambda: mailbox.about(theirs["case"]["number"]), why="a mail about the case")
    links.append(LINK.search(mails[0][1]).groups())
    other = city.case_of(city.report("nanshan", category="gas_hazard"), city.person("dispatcher"))
    mails = wait_for(lambda: mailbox.about(other["number"]), why="a mail about the other case")
    links.append(LINK.search(mails[0][1]).groups())
    stranger = city.person()
    for (_, kid, _), (_, _, token) in (links, links[::-1]):
        assert stranger.post("/a/view", json={"kid": kid, "token": token}).status_code == 404
        answer = stranger.post("/a/acknowledge", json={"kid": kid, "token": token, "name": "x"})
        assert answer.status_code == 404
    # A link is no sign-in: it opens nothing else.
    _, kid, token = links[0]
    for value in (token, f"{kid}.{token}"):
        answer = httpx.get(
            f"{city.url}/v1/cases", headers={"Authorization": f"Bearer {value}"}, timeout=60, trust_env=False)
        assert answer.status_code == 401


def test_roles_do_what_theirs_is_and_nothing_else(city, theirs):
    case = theirs["case"]["case_id"]
    posts = {
        f"/v1/cases/{case}/close": ({"reason": "x"}, {"dispatcher"}),
        "/v1/shifts": ({}, {"crew"}),
        "/v1/crews": (
            {"district_id": city.district("luohu"), "name": "", "skills": [], "depot_lon": 0, "depot_lat": 0},
            {"dispatcher", "admin"}),
        "/v1/accounts": ({"login": "A", "display_name": "", "roles": [], "districts": []}, {"admin"}),
        "/v1/offices": ({"district_id": new_id(), "name_zh": "", "name_en": ""}, {"admin"}),
        "/v1/channels": ({"recipient_id": new_id(), "kind": "mail", "address": "nothing"}, {"admin"}),
        "/v1/imports": ({}, {"admin"}),
    }
    people = {
        "crew": "crew-luohu-8", "office": "office-cuizhu", "dispatcher": "dispatcher-luohu", "manager": "manager-luohu"}
    for path, (body, allowed) in posts.items():
        for role, login in people.items():
            if role in allowed:
                continue
            answer = city.person(login).act(path, body, etag=1)
            assert answer.status_code == 403, f"{role} on {path}: {answer.status_code} {answer.text}"
    for path in ("/v1/accounts", "/v1/channels"):
        for login in people.values():
            assert city.person(login).get(path).status_code == 403
    for path in ("/v1/indicators/7", "/v1/evidence"):
        for role in ("crew", "office", "dispatcher"):
            assert city.person(people[role]).get(path).status_code == 403, f"{role} on {path}"


# The database ---------------------------------------------------------------------------------------------------------

def relations(stack, kinds):
    """Tables and views with district_id, except what is the map."""
    return stack.rows(
        """
        SELECT n.nspname AS schema, c.relname AS name, c.relispartition AS part,
               EXISTS (SELECT FROM pg_attribute r WHERE r.attrelid = c.oid AND r.attname = 'responsible_district_id'
                       AND NOT r.attisdropped) AS responsible
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'district_id' AND NOT a.attisdropped
        WHERE n.nspname = ANY(%s) AND c.relkind = ANY(%s)
        ORDER BY 1, 2
        """, ["intake", "dispatch", "scoring", "notification"], kinds)


@pytest.mark.parametrize("role", HTTP_ROLES)
def test_no_http_role_reads_another_district_by_table_view_or_partition(city, stack, theirs, role):
    mine, other, looked, refused = city.district("futian"), city.district("luohu"), 0, 0
    with stack.connect(f"sluice_{role}_http", f"db-sluice_{role}_http") as connection:
        for scope in (mine, "", None):
            if scope is None:
                connection.execute("RESET sluice.districts")
            else:
                connection.execute("SELECT set_config('sluice.districts', %s, false)", (scope,))
            for relation in relations(stack, ["r", "p", "v"]):
                name = f"{relation['schema']}.{relation['name']}"
                extra = " AND responsible_district_id <> %(mine)s" if relation["responsible"] else ""
                try:
                    row = connection.execute(
                        f"SELECT count(*) AS n FROM {name} WHERE district_id = %(other)s" + extra,
                        {"other": other, "mine": mine}).fetchone()
                except psycopg.errors.InsufficientPrivilege:
                    refused += 1
                    continue
                assert not relation["part"], f"{role} reads the partition {name}"
                assert row["n"] == 0, f"{role} in scope {scope!r} sees {row['n']} rows of Luohu in {name}"
                looked += 1
        # The look has teeth: in Luohu's scope the same rows are there.
        connection.execute("SELECT set_config('sluice.districts', %s, false)", (other,))
        row = connection.execute(
            "SELECT count(*) AS n FROM dispatch.api_case WHERE case_id = %s", (theirs["case"]["case_id"],)).fetchone()
        assert row["n"] == 1
    assert looked > 20 and refused > 20


@pytest.mark.parametrize("role", HTTP_ROLES)
def test_no_http_role_writes_into_another_district_or_lifts_its_scope(city, stack, theirs, role):
    mine, other = city.district("futian"), city.district("luohu")
    with stack.connect(f"sluice_{role}_http", f"db-sluice_{role}_http") as connection:
        connection.execute("SELECT set_config('sluice.districts', %s, false)", (mine,))
        for relation in relations(stack, ["r", "p"]):
            name = f"{relation['schema']}.{relation['name']}"
            # responsible_district_id opens a case to that district for good reason; here nothing of it is Futian's.
            extra = " AND responsible_district_id <> %(mine)s" if relation["responsible"] else ""
            for statement in (
                    f"UPDATE {name} SET district_id = %(mine)s WHERE district_id = %(other)s" + extra,
                    f"DELETE FROM {name} WHERE district_id = %(other)s" + extra):
                try:
                    done = connection.execute(statement, {"other": other, "mine": mine})
                    assert done.rowcount == 0, f"{role}: {statement}"
                except psycopg.errors.InsufficientPrivilege:
                    pass
        for statement in (
                "SET ROLE sluice_owner", "SET ROLE sluice_background", "SET SESSION AUTHORIZATION postgres",
                "ALTER TABLE dispatch.case_file DISABLE ROW LEVEL SECURITY", "SET row_security = off",
                "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')"):
            try:
                connection.execute(statement)
                if statement == "SET row_security = off":
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute("SELECT count(*) FROM dispatch.api_case")
                    connection.execute("RESET row_security")
                    continue
                raise AssertionError(f"{role} may {statement}")
            except psycopg.errors.InsufficientPrivilege:
                pass


def test_nobody_lists_codes_links_or_sessions_of_others(stack):
    for role in HTTP_ROLES:
        with stack.connect(f"sluice_{role}_http", f"db-sluice_{role}_http") as connection:
            hidden = ["intake.tracking", "notification.link"]
            if role != "intake":
                hidden += ["intake.account", "intake.session", "intake.refresh_token", "intake.signing_key",
                           "intake.keyring", "intake.contact", "intake.contact_look", "intake.person"]
            for table in hidden:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SELECT * FROM {table} LIMIT 1")
