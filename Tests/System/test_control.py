"""The operator's tool on the running city: imports, accounts, dead letters, and what its exit statuses say."""

import json
import secrets
import subprocess

import pytest
from broker import event
from city import Person, new_id
from stack import REPOSITORY, wait_for

COMMANDS = [
    "migrate", "seed", "account", "account create", "account list", "account enable", "account disable",
    "account password", "token", "import", "drill", "drill storm", "drill make", "reconcile", "dead", "dead list", "dead retry",
    "dead discard", "evidence", "doctor",
]


def run(*arguments, stdin=None):
    """Without --json: (exit status, standard output, standard error)."""
    done = subprocess.run(
        [str(REPOSITORY / "deploy" / "sluicectl"), *arguments], input=stdin, capture_output=True, text=True,
        timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


# Imports -------------------------------------------------------------------------------------------------------------

SURVEY = ("--kind", "pipe", "--system", "storm", "--id", "OBJECTID", "--diameter", "DIAMETER")


def pipe(number, place, **more):
    line = [[place["lon"], place["lat"]], [place["lon"] + 0.0004, place["lat"]]]
    return {
        "type": "Feature", "properties": {"OBJECTID": number, "DIAMETER": 300, **more.pop("properties", {})},
        "geometry": {"type": "LineString", "coordinates": line}, **more}


def collection(features, **members):
    return json.dumps({"type": "FeatureCollection", **members, "features": features})


@pytest.fixture
def survey(tmp_path):
    """survey(text, *options): imports that text into Futian under a source of the test's own."""
    source = "survey-" + secrets.token_hex(4)
    file = tmp_path / "pipes.geojson"

    def take(text, *options, codes=(0,), ctl):
        file.write_text(text)
        return ctl("import", str(file), "--district", "440304", "--source", source, *SURVEY, *options, codes=codes)

    take.source = source
    return take


def test_an_import_takes_what_is_right_and_names_what_is_wrong_by_row_and_field(city, stack, survey):
    place = city.place("futian")
    features = [pipe(n, place) for n in range(1, 6)]
    features += [
        pipe(6, place, properties={"DIAMETER": 0}),
        pipe(2, place),
        pipe(7, place, geometry=None),
        pipe(8, place, geometry={"type": "Point", "coordinates": [place["lon"], place["lat"]]}),
        pipe(9, place, geometry={"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
        pipe(None, place),
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    _, answer = survey(collection(features, crs=crs), codes=(3,), ctl=stack.sluicectl)
    assert {key: answer[key] for key in ("read", "added", "changed", "same", "refused")} == {
        "read": 11, "added": 6, "changed": 0, "same": 0, "refused": 5}
    refused = {issue["row"]: issue for issue in answer["issues"] if issue["severity"] == "refused"}
    assert sorted(refused) == [7, 8, 9, 10, 11]
    assert all(issue["field"] and issue["detail"] for issue in refused.values())
    assert refused[11]["field"] and refused[10]["code"] == "outside_district"
    repaired = [issue for issue in answer["issues"] if issue["severity"] == "repaired"]
    assert [issue["row"] for issue in repaired] == [6]

    # A person with a browser sees the same run.
    seen = city.person("admin").seen(f"/v1/imports/{answer['import_id']}")
    assert seen["rows_refused"] == 5 and seen["state"] == "done"
    assert [issue["row"] for issue in seen["issues"]] == [issue["row"] for issue in answer["issues"]]


def test_the_same_file_again_changes_nothing_and_one_changed_row_is_one_change(city, stack, survey):
    place = city.place("futian")
    features = [pipe(n, place) for n in range(1, 21)]

    def counts(features):
        answer = survey(collection(features), ctl=stack.sluicectl)[1]
        return answer["added"], answer["changed"], answer["same"], answer["refused"]

    def announced():
        return stack.value(
            "SELECT count(*) FROM gis.history h JOIN gis.facility f ON f.facility_id = h.aggregate_id"
            " WHERE f.source = %s", survey.source)

    assert counts(features) == (20, 0, 0, 0)
    assert announced() == 20
    assert counts(features) == (0, 0, 20, 0)
    assert announced() == 20, "nothing is announced again"
    features[4]["properties"]["DIAMETER"] = 400
    assert counts(features) == (0, 1, 19, 0)
    assert announced() == 21
    assert stack.value("SELECT count(*) FROM gis.facility WHERE source = %s", survey.source) == 20


@pytest.mark.parametrize(("text", "word"), [
    pytest.param('{"type":"FeatureCollection","features":[]}', "FeatureCollection", id="nothing"),
    pytest.param("name,lon,lat\n", "FeatureCollection", id="a table"),
    pytest.param('{"type":"FeatureCollection","features":[{"type":"Feature"', "ends inside", id="half a file"),
    pytest.param(
        '{"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4547"}},'
        '"features":[{"type":"Feature"}]}', "CRS84", id="other coordinates"),
])
def test_a_file_that_is_no_import_leaves_nothing_behind(stack, survey, tmp_path, text, word):
    file = tmp_path / "bad.geojson"
    file.write_text(text)
    code, out, error = run("import", str(file), "--district", "440304", "--source", survey.source, *SURVEY)
    assert code == 1 and word in error and not out.strip(), (code, out, error)
    assert stack.value("SELECT count(*) FROM gis.facility WHERE source = %s", survey.source) == 0


def test_what_cannot_be_imported_is_said(tmp_path):
    good = tmp_path / "good.geojson"
    good.write_text("{}")
    for arguments, expected in [
        (("import", str(tmp_path / "none"), "--district", "440304", "--source", "s", *SURVEY), 1),
        (("import", str(good), "--district", "999999", "--source", "s", *SURVEY), 1),
        (("import", str(good), "--district", "440304"), 2),
        (("import", str(good), "--district", "440304", "--source", "s", "--id", "x", "--kind", "river"), 2),
    ]:
        code, out, error = run(*arguments)
        assert code == expected and error.strip() and not out.strip(), (arguments, code, out, error)


# Accounts ------------------------------------------------------------------------------------------------------------

def sign_in(city, login, password):
    person = Person(city.url)
    answer = person.act("/v1/session", {"login": login, "password": password})
    return answer, person


def test_an_account_is_made_changed_disabled_and_enabled(city, stack):
    login = "li." + secrets.token_hex(4)
    made = stack.sluicectl(
        "account", "create", login, "--role", "dispatcher", "--district", "440304", "--name", "李娜")[1]
    assert made["login"] == login and made["active"] and made["roles"] == ["dispatcher"]
    assert made["display_name"] == "李娜" and made["districts"] == [city.district("futian")]
    assert sign_in(city, login, made["password"])[0].is_success
    assert login in [line["login"] for line in stack.sluicectl("account", "list")[1]]

    # A new password, made or given; the old one is no longer one.
    second = stack.sluicectl("account", "password", login)[1]["password"]
    assert sign_in(city, login, made["password"])[0].status_code == 401
    assert sign_in(city, login, second)[0].is_success
    given = secrets.token_urlsafe(18)
    code, out, error = run("account", "password", login, "--password-file", "-", stdin=given + "\n")
    assert code == 0 and given not in out + error, "a given password is not repeated"
    answer, _ = sign_in(city, login, given)
    assert answer.is_success

    # Disabled, it can neither sign in nor go on with the session that it has.
    token = stack.sluicectl("token", login)[1]["token"]
    holder = Person(city.url, token)
    assert holder.get("/v1/session").is_success
    assert stack.sluicectl("account", "disable", login)[1]["active"] is False
    assert sign_in(city, login, given)[0].status_code == 401
    wait_for(lambda: holder.get("/v1/session").status_code == 401, why="the session has ended")
    assert run("token", login)[0] == 1
    assert stack.sluicectl("account", "enable", login)[1]["active"] is True
    assert sign_in(city, login, given)[0].is_success


def test_accounts_that_cannot_be_are_refused_by_name():
    for arguments, expected in [
        (("account", "create", "Not Allowed", "--role", "dispatcher", "--district", "440304"), 1),
        (("account", "create", "nobody." + secrets.token_hex(4), "--role", "king"), 2),
        (("account", "create", "nobody." + secrets.token_hex(4), "--role", "dispatcher", "--district", "9"), 1),
        (("account", "create", "dispatcher", "--role", "dispatcher", "--district", "city"), 1),
        (("account", "disable", "nobody." + secrets.token_hex(4)), 1),
        (("account", "password", "nobody." + secrets.token_hex(4)), 1),
        (("token", "nobody." + secrets.token_hex(4)), 1),
    ]:
        code, out, error = run(*arguments)
        assert code == expected and error.strip() and not out.strip(), (arguments, code, out, error)


# Dead letters --------------------------------------------------------------------------------------------------------

def test_a_dead_letter_that_can_be_read_now_is_retried_to_success(city, stack):
    """As after an upgrade: what an older release could not read lies there, and this one can."""
    receipt = city.report("luohu", category="gully_blocked")
    city.case_of(receipt)
    report = new_id()
    data = stack.value(
        "SELECT body::text FROM intake.history WHERE aggregate_id = %s AND type = 'report.received.v1'", receipt["id"])
    district = city.district("luohu")
    message = event(district, data=json.loads(data.replace(receipt["id"], report)), aggregateid=report, subject=report)
    key = json.loads(message)["id"]
    with stack.connect() as connection:
        connection.execute(
            "INSERT INTO dispatch.inbox (consumer, source, event_id) VALUES ('dispatch.routine', 'intake', %s)", (key,))
        connection.execute(
            "INSERT INTO dispatch.dead_letter (consumer, source, event_id, type, district_id, body, reason, version)"
            " VALUES ('dispatch.routine', 'intake', %s, 'report.received.v1', %s, %s, 'unknown field', '0')",
            (key, district, message))
    letter, = [
        line for line in stack.sluicectl("dead", "list", "--service", "dispatch", "--limit", "500")[1]
        if line["reason"] == "unknown field"]
    assert letter["consumer"] == "dispatch.routine" and letter["version"] == "0"
    assert stack.sluicectl("dead", "retry", letter["id"])[1] == [{"id": letter["id"].lower(), "found": True}]
    wait_for(
        lambda: stack.rows("SELECT 1 FROM dispatch.report_state WHERE report_id = %s", report), why="it has its case")
    wait_for(lambda: not stack.rows("SELECT 1 FROM dispatch.retry WHERE event_id = %s", key), why="it is not parked")
    assert stack.value("SELECT count(*) FROM dispatch.dead_letter WHERE event_id = %s", key) == 0
    assert stack.value("SELECT count(*) FROM dispatch.inbox WHERE event_id = %s", key) == 1
    # It is gone, so nobody can retry or discard it again.
    for act in ("retry", "discard"):
        assert stack.sluicectl("dead", act, letter["id"], codes=(3,))[1][0]["found"] is False
        assert run("dead", act, "not-an-id")[0] == 2


# All of it -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    code, out, error = run(*command.split(), "--help")
    assert code == 0 and "USAGE" in out and not error.strip(), (code, out, error)


@pytest.mark.parametrize("arguments", [
    ("migrate", "--plan"), ("account", "list"), ("dead", "list"), ("reconcile", "--dry-run"), ("doctor", "--all"),
    ("token", "dispatcher"),
], ids=" ".join)
def test_what_a_command_finds_is_json_when_asked(stack, arguments):
    code, answer = stack.sluicectl(*arguments, codes=(0, 3))
    assert answer is not None, code


def test_unknown_commands_and_settings_that_cannot_be_used_are_two():
    assert run("sing")[0] == 2
    assert run("dead", "list", "--limit", "many")[0] == 2
