"""Signed links: what follows them changes nothing, and only the right token, in time, for its purpose opens one."""

import base64
import datetime
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from stack import wait_for


@pytest.fixture(scope="module")
def link_key(stack):
    """The key of links, made from the master key as the service makes it: so that tests can forge."""
    master = base64.b64decode(stack.secret("master.key"))
    return HKDF(hashes.SHA256(), 32, None, b"sluice notification links").derive(master)


@pytest.fixture
def link(city, stack, link_key):
    """A link of a new emergency, as it was sent: {kid, token, notice_id, …}."""
    case_id = city.case_of(city.report("nanshan"))
    row = wait_for(
        lambda: stack.rows(
            "SELECT l.*, n.case_id FROM notification.link l JOIN notification.notice n USING (notice_id)"
            " WHERE n.case_id = %s AND n.purpose = 'emergency' LIMIT 1", case_id), why="a link was made")[0]
    return {**row, "token": token_of(link_key, row)}


def token_of(key, row, purpose="acknowledge"):
    expires = row["expires_at"]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    microseconds = (expires - epoch) // datetime.timedelta(microseconds=1)
    text = f"v1|{row['kid']}|{row['notice_id']}|{row['recipient_id']}|{purpose}|{microseconds}"
    return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")


def acts(stranger, link, token=None):
    """The three acts of a link, each with all that it needs."""
    opening = {"kid": link["kid"], "token": token or link["token"]}
    return [
        stranger.post("/a/view", json=opening), stranger.post("/a/acknowledge", json={**opening, "name": "李值班"}),
        stranger.post(
            "/a/comments", json={**opening, "name": "李值班", "body": "x"},
            headers={"Idempotency-Key": secrets.token_hex(12)})]


def kept(stack, link):
    """What an act would change."""
    return (
        stack.one("SELECT acknowledged_at, acknowledged_by FROM notification.notice WHERE notice_id = %s",
                  link["notice_id"]),
        stack.value("SELECT count(*) FROM notification.comment WHERE notice_id = %s", link["notice_id"]))


def test_following_a_link_in_any_way_changes_nothing(city, stack, link):
    stranger, before = city.person(), kept(stack, link)
    pages = set()
    for path in (f"/a/{link['kid']}", f"/a/{link['kid']}?token={link['token']}", "/a/0000000000000000"):
        for agent in ("Mozilla/5.0", "Barracuda Sentinel", "curl/8"):
            for method in ("GET", "HEAD"):
                answer = stranger.request(method, path, headers={"User-Agent": agent, "Sec-Purpose": "prefetch"})
                assert answer.status_code == 200, (method, answer.status_code)
                assert answer.headers["Referrer-Policy"] == "no-referrer", answer.headers
                if method == "GET":
                    pages.add(answer.content)
    assert len(pages) == 1, "the page knows nothing of the link"
    for path in ("/a/view", "/a/acknowledge", "/a/comments"):
        answer = stranger.get(path, params={"kid": link["kid"], "token": link["token"], "name": "x", "body": "x"})
        assert answer.status_code in (404, 405), "acts are POSTs"
    assert kept(stack, link) == before


def test_acknowledging_twice_is_once_and_ends_the_escalation(city, stack, link):
    stranger = city.person()
    view, first, _ = acts(stranger, link)
    assert view.status_code == 200 and view.json()["notice_id"] == str(link["notice_id"]), view.text
    assert first.status_code == 200, first.text
    row = stack.one(
        "SELECT acknowledged_at, acknowledged_by, version FROM notification.notice WHERE notice_id = %s", link["notice_id"])
    again = stranger.post(
        "/a/acknowledge", json={"kid": link["kid"], "token": link["token"], "name": "somebody else"})
    assert again.status_code == 200 and again.json()["acknowledged_at"] == first.json()["acknowledged_at"], again.text
    assert row == stack.one(
        "SELECT acknowledged_at, acknowledged_by, version FROM notification.notice WHERE notice_id = %s", link["notice_id"])
    assert stack.value(
        "SELECT count(*) FROM notification.notice WHERE case_id = %s AND escalate_at IS NOT NULL", link["case_id"]) == 0
    assert stack.value(
        "SELECT count(*) FROM notification.history WHERE aggregate_id = %s AND type LIKE 'notice.acknowledged%%'",
        link["notice_id"]) == 1


def test_a_double_click_stores_one_comment(city, stack, link):
    words = {"kid": link["kid"], "token": link["token"], "name": "李值班", "body": "已围蔽"}

    def send(key, **more):
        return city.person().post("/a/comments", json={**words, **more}, headers={"Idempotency-Key": key})

    key = secrets.token_hex(12)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, [key] * 4))
    assert [answer.status_code for answer in answers] == [201] * 4, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert send(key, body="x").json()["code"] == "idempotency_mismatch"
    keyless = city.person().post("/a/comments", json=words)
    assert keyless.status_code == 400 and keyless.json()["errors"][0]["field"] == "Idempotency-Key", keyless.text
    assert stack.value("SELECT count(*) FROM notification.comment WHERE notice_id = %s", link["notice_id"]) == 1


@pytest.mark.parametrize("wrong", ["purpose", "recipient", "kid", "expiry", "cut", "empty key", "words"])
def test_a_token_for_anything_else_opens_nothing(city, stack, link, link_key, wrong):
    token = {
        "purpose": lambda: token_of(link_key, link, purpose="comment"),
        "recipient": lambda: token_of(link_key, {**link, "recipient_id": link["notice_id"]}),
        "kid": lambda: token_of(link_key, {**link, "kid": "0" * 24}),
        "expiry": lambda: token_of(link_key, {**link, "expires_at": link["expires_at"] + datetime.timedelta(days=9)}),
        "cut": lambda: link["token"][:-4],
        "empty key": lambda: token_of(b"", link),
        "words": lambda: "' OR 1=1 --",
    }[wrong]()
    before = kept(stack, link)
    answers = acts(city.person(), link, token)
    assert [answer.status_code for answer in answers] == [404, 404, 404], [answer.text for answer in answers]
    unknown = city.person().post("/a/view", json={"kid": "0" * 24, "token": link["token"]})
    assert unknown.json()["code"] == answers[0].json()["code"], "an unknown link and a wrong token look alike"
    assert kept(stack, link) == before


def test_an_expired_link_says_so_to_who_has_its_token(city, stack, link, link_key):
    before = kept(stack, link)
    past = stack.one(
        "UPDATE notification.link SET expires_at = clock_timestamp() - interval '1 second' WHERE kid = %s RETURNING *",
        link["kid"])
    for answer in acts(city.person(), link, token_of(link_key, past)):
        assert answer.status_code == 410 and answer.json()["code"] == "link_expired", answer.text
    for answer in acts(city.person(), link):
        assert answer.status_code == 404, answer.text
    assert kept(stack, link) == before


def test_a_withdrawn_link_is_over(city, stack, link):
    stack.rows("UPDATE notification.link SET withdrawn_at = clock_timestamp() WHERE kid = %s RETURNING kid", link["kid"])
    for answer in acts(city.person(), link):
        assert answer.status_code == 410 and answer.json()["code"] == "link_withdrawn", answer.text
