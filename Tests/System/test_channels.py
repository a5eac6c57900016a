"""How notices leave the house: a mail server with STARTTLS and sign-in, webhooks, and all that goes wrong with both."""

import json
import secrets

import pytest
from mailserver import Authority, MailServer
from stack import wait_for
from standardwebhooks.webhooks import Webhook

USER, PASSWORD = "sluice@city.test", "correct horse battery"
NUMBER = "SELECT number FROM dispatch.case_file WHERE case_id = %s"


@pytest.fixture(scope="module")
def authority(stack):
    folder = stack.home / "mail-certificates"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return Authority(folder)


@pytest.fixture(scope="module")
def mail(stack, authority):
    """The service sends through our server as long as these tests last."""
    server = MailServer(stack.base + 61, authority.context("localhost"), USER, PASSWORD)
    with stack.notification_settings({
            "SLUICE_SMTP_HOST": "localhost", "SLUICE_SMTP_PORT": server.port, "SLUICE_SMTP_FROM": "sluice@city.test",
            "SLUICE_SMTP_TLS": "starttls", "SLUICE_SMTP_CA_FILE": authority.file, "SLUICE_SMTP_USER": USER,
            "SLUICE_SMTP_PASSWORD": PASSWORD}):
        yield server
    server.close()


@pytest.fixture
def first_contact(city):
    """The first contact of the office that answers for `city.report("luohu")`'s place, found by asking the map."""
    admin = city.person("admin")
    place = city.place("luohu")
    street = admin.seen("/v1/places", params=place)["street"]["id"]
    offices, cursor = [], None
    while True:
        page = admin.seen("/v1/offices", params={"limit": 200, **({"cursor": cursor} if cursor else {})})
        offices += page["items"]
        if not (cursor := page["next"]):
            break
    office = next(office for office in offices if office["street_id"] == street)
    return {**next(person for person in office["recipients"] if person["level"] == 1), "place": place}


@pytest.fixture
def channel(city, first_contact):
    """channel(kind, address): a channel of the first contact, until the test ends."""
    admin, made = city.person("admin"), []

    def make(kind, address):
        channel = admin.done(
            "/v1/channels", {"recipient_id": first_contact["id"], "kind": kind, "address": address})
        made.append(channel["id"])
        return channel

    yield make
    for channel in made:
        version = next(
            item["version"] for item in all_channels(admin) if item["id"] == channel)
        admin.patch(f"/v1/channels/{channel}", json={"active": False}, headers={"If-Match": f'"{version}"'})


def all_channels(admin):
    items, cursor = [], None
    while True:
        page = admin.seen("/v1/channels", params={"limit": 200, **({"cursor": cursor} if cursor else {})})
        items += page["items"]
        if not (cursor := page["next"]):
            return items


@pytest.fixture
def tried(city):
    """tried(channel): what a test message by that channel comes to."""
    return lambda channel: city.person("admin").done(f"/v1/channels/{channel['id']}/test", {})


def new_address():
    return f"oncall-{secrets.token_hex(4)}@city.test"


def log_of(stack, channel, case_id):
    """The delivery by that channel about the case, and its attempts as (outcome, detail)."""
    rows = stack.rows(
        "SELECT d.delivery_id, d.state, n.state AS notice FROM notification.delivery d"
        " JOIN notification.notice n USING (notice_id) WHERE d.channel_id = %s AND n.case_id = %s"
        " AND n.purpose = 'emergency'", channel["id"], case_id)
    assert len(rows) <= 1, "one delivery a notice and channel"
    if not rows:
        return None
    attempts = stack.rows(
        "SELECT outcome, detail FROM notification.delivery_attempt WHERE delivery_id = %s ORDER BY attempt",
        rows[0]["delivery_id"])
    return {**rows[0], "attempts": [(row["outcome"], row["detail"]) for row in attempts]}


def emergency(city, first_contact):
    return city.case_of(city.report("luohu", **first_contact["place"]))


# Mail ---------------------------------------------------------------------------------------------------------------


def test_a_mail_arrives_by_starttls_and_sign_in_and_reads_well(city, stack, mail, channel, first_contact):
    address = new_address()
    made = channel("mail", address)
    case_id = emergency(city, first_contact)
    raw, message = wait_for(lambda: mail.to(address), why="the mail")[0]
    delivery = wait_for(
        lambda: (log := log_of(stack, made, case_id)) and log["state"] == "delivered" and log, why="it is recorded")
    assert delivery["attempts"] == [("delivered", "SMTP 250")]
    assert message["Subject"].startswith("【紧急】"), message["Subject"]
    assert message["Message-ID"] == f"<{delivery['delivery_id']}@city.test>"
    assert message["To"] == address and message["Auto-Submitted"] == "auto-generated"
    assert str(stack.value(NUMBER, case_id)) in message.get_content()
    assert "/a/" in message.get_content() and "#" in message.get_content(), "the link"
    # On the wire: ASCII, short lines, CRLF only, no line that begins with a dot.
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b""), raw
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 78, max(lines, key=len)
    assert not any(line.startswith(b".") for line in lines)


def test_a_wrong_password_is_seen_and_mended_without_a_loss(city, stack, mail, channel, first_contact, tried):
    address = new_address()
    made = channel("mail", address)
    mail.password = "somebody changed it"
    try:
        assert tried(made) == {"outcome": "refused", "detail": "AUTH: SMTP 535"}
        case_id = emergency(city, first_contact)
        delivery = wait_for(
            lambda: (log := log_of(stack, made, case_id)) and log["attempts"] and log, why="an attempt")
        assert delivery["attempts"][0] == ("refused", "AUTH: SMTP 535") and delivery["state"] == "waiting"
        notice = stack.value("SELECT notice_id FROM notification.delivery WHERE delivery_id = %s", delivery["delivery_id"])
        shown = city.person("dispatcher").seen(f"/v1/notices/{notice}")["deliveries"]
        mine = [item for item in shown if item["delivery_id"] == str(delivery["delivery_id"])]
        assert mine[0]["last_outcome"] == "refused: AUTH: SMTP 535"
        assert not mail.to(address)
    finally:
        mail.password = PASSWORD
    wait_for(lambda: log_of(stack, made, case_id)["state"] == "delivered", why="it goes out once the password is right")
    assert len(mail.to(address)) == 1


def test_a_certificate_that_is_not_the_servers_gets_no_password(mail, authority, channel, tried, tmp_path):
    made = channel("mail", new_address())
    right = mail.context
    try:
        mail.context = authority.context("another.test")
        assert tried(made) == {"outcome": "not_sent", "detail": "the server's certificate is for another name"}
        mail.context = Authority(tmp_path, "Somebody else").context("localhost")
        answer = tried(made)
        assert answer["outcome"] == "not_sent" and "certificate is not trusted" in answer["detail"], answer
    finally:
        mail.context = right
    assert tried(made)["outcome"] == "delivered"


def test_a_server_that_hangs_is_left_after_a_while(mail, channel, tried):
    made = channel("mail", new_address())
    mail.silent = True
    try:
        assert tried(made) == {"outcome": "not_sent", "detail": "no answer in time"}
    finally:
        mail.silent = False
    assert tried(made)["outcome"] == "delivered"


@pytest.mark.parametrize("command, more", [
    ("STARTTLS", b"250-localhost\r\n250 AUTH PLAIN\r\n"),
    ("STARTTLS", b"250-loc"),
    ("EHLO", b"220 Go\r\n250-localhost\r\n250 AUTH PLAIN\r\n"),
])
def test_words_in_clear_never_pass_for_words_inside_tls(mail, channel, tried, command, more):
    """CVE-2011-0411 and its kin: who sits on the line adds answers in clear, which are read on inside TLS."""
    made = channel("mail", new_address())
    mail.in_clear, before = {command: more}, mail.sign_ins
    try:
        assert tried(made) == {"outcome": "not_sent", "detail": "words in clear came in where TLS begins"}
        assert mail.sign_ins == before, "no password went out"
    finally:
        mail.in_clear = {}
    assert tried(made)["outcome"] == "delivered"


def test_a_passing_no_is_tried_again_under_the_same_id(city, stack, mail, channel, first_contact):
    address = new_address()
    made = channel("mail", address)
    mail.recipients[address] = ["451 4.7.1 greylisted"]
    case_id = emergency(city, first_contact)
    delivery = wait_for(
        lambda: (log := log_of(stack, made, case_id)) and log["state"] == "delivered" and log, why="the second try")
    assert delivery["attempts"] == [("refused", "RCPT TO: SMTP 451"), ("delivered", "SMTP 250")]
    assert [m["Message-ID"] for _, m in mail.to(address)] == [f"<{delivery['delivery_id']}@city.test>"]


def test_a_mail_whose_fate_is_unknown_comes_again_under_the_same_id(city, stack, mail, channel, first_contact):
    address = new_address()
    made = channel("mail", address)
    mail.ends[address] = ["drop"]
    case_id = emergency(city, first_contact)
    delivery = wait_for(
        lambda: (log := log_of(stack, made, case_id)) and log["state"] == "delivered" and log, why="the second try")
    assert [outcome for outcome, _ in delivery["attempts"]] == ["unknown", "delivered"]
    assert [m["Message-ID"] for _, m in mail.to(address)] == [f"<{delivery['delivery_id']}@city.test>"] * 2


@pytest.mark.parametrize("step, answer, detail", [
    ("recipients", "550 5.1.1 no such user", "RCPT TO: SMTP 550"), ("ends", "554 5.7.1 not wanted", "the mail: SMTP 554")])
def test_a_no_for_good_is_given_up_and_shown(city, stack, mail, channel, first_contact, step, answer, detail):
    address = new_address()
    made = channel("mail", address)
    getattr(mail, step)[address] = [answer]
    case_id = emergency(city, first_contact)
    delivery = wait_for(
        lambda: (log := log_of(stack, made, case_id)) and log["state"] == "failed" and log, why="it is given up")
    assert delivery["attempts"] == [("refused", detail)]
    assert not mail.to(address)


# Webhooks -----------------------------------------------------------------------------------------------------------


def verified(secret, call):
    return Webhook(secret).verify(call["body"], {name.lower(): value for name, value in call["headers"].items()})


def test_a_webhook_comes_again_under_the_same_id_until_it_is_taken(city, stack, hook, channel, first_contact):
    path = f"/{secrets.token_hex(4)}"
    made = channel("webhook", hook.url + path)
    hook.answers[path] = [(503, {}), (429, {"Retry-After": "2"})]
    case_id = emergency(city, first_contact)
    delivery = wait_for(
        lambda: (log := log_of(stack, made, case_id)) and log["state"] == "delivered" and log, why="the third try")
    assert delivery["attempts"] == [("refused", "HTTP 503"), ("refused", "HTTP 429"), ("delivered", "HTTP 204")]
    calls = hook.at(path)
    assert {call["headers"]["webhook-id"] for call in calls} == {str(delivery["delivery_id"])} and len(calls) == 3
    assert len({call["body"] for call in calls}) == 1, "a repeat is the same bytes"
    for call in calls:
        assert verified(made["secret"], call)["data"]["case_id"] == case_id


def test_both_secrets_sign_while_one_is_rotated(city, hook, channel, tried):
    path = f"/{secrets.token_hex(4)}"
    made = channel("webhook", hook.url + path)
    answer = city.person("admin").patch(
        f"/v1/channels/{made['id']}", json={"rotate_secret": True}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200, answer.text
    new = answer.json()["secret"]
    assert new != made["secret"]
    assert tried(made) == {"outcome": "delivered", "detail": "HTTP 204"}
    [call] = hook.at(path)
    for secret in (made["secret"], new):
        assert verified(secret, call)["type"] == "notice.test"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(hook, channel, tried, status):
    path, other = f"/{secrets.token_hex(4)}", f"/{secrets.token_hex(4)}"
    hook.answers[path] = [(status, {"Location": hook.url + other})]
    answer = tried(channel("webhook", hook.url + path))
    assert answer == {"outcome": "refused", "detail": f"HTTP {status}: redirects are not followed"}
    assert len(hook.at(path)) == 1 and not hook.at(other)


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:1/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://2130706433:{port}/", "http://0x7f.1:{port}/", "http://0.0.0.0:{port}/", "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[fd00::1]/",
    "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/"])
def test_private_addresses_get_nothing_unless_listed(hook, channel, tried, address):
    before = len(hook.calls)
    answer = tried(channel("webhook", address.format(port=hook.port)))
    assert answer == {"outcome": "refused", "detail": "the address is private or local"}
    assert len(hook.calls) == before


@pytest.mark.parametrize("address", ["ftp://example.org/", "http://user:word@example.org/", "javascript:alert(1)", "a b"])
def test_what_is_no_web_address_is_refused_when_it_is_entered(city, first_contact, address):
    answer = city.person("admin").act(
        "/v1/channels", {"recipient_id": first_contact["id"], "kind": "webhook", "address": address})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "address", answer.text


@pytest.mark.parametrize("address", [
    "a@b.test\r\nBcc: c@d.test", "a@b.test> SIZE=1", "two@at@b.test", "name <a@b.test>", "a@localhost", "ü@b.test"])
def test_what_is_no_mail_address_is_refused_when_it_is_entered(city, first_contact, address):
    answer = city.person("admin").act(
        "/v1/channels", {"recipient_id": first_contact["id"], "kind": "mail", "address": address})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "address", answer.text


def test_addresses_and_secrets_are_nowhere_in_the_clear(stack, hook, channel):
    made, address = channel("webhook", f"{hook.url}/{secrets.token_hex(8)}"), new_address()
    channel("mail", address)
    kept = json.dumps(
        stack.rows("SELECT encode(address, 'escape') AS a, encode(secret, 'escape') AS s FROM notification.channel")
        + stack.rows("SELECT body FROM notification.history ORDER BY id DESC LIMIT 200")
        + stack.rows("SELECT detail FROM notification.delivery_attempt"), default=str)
    assert address not in kept and hook.url not in kept and made["secret"] not in kept
