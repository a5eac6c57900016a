"""Shared/CONTRACTS.md, section 7: its table of routes is what the five services say of themselves."""

import re

import pytest
from stack import REPOSITORY

SERVICES = ["intake", "dispatch", "gis-sync", "scoring", "notification"]
ROLES = {"crew", "dispatcher", "office", "manager", "admin", "system"}
ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) `(/[^`?]+)`((?: [*≥])*)")
# Lists that are always one page.
WHOLE = {"/v1/categories"}
METHODS = ["get", "post", "put", "patch", "delete"]


def without_notes(cell):
    """A cell without what it adds in brackets."""
    return re.sub(r"\s*\([^()]*\)", "", cell).strip()


def paths(text):
    """`/a/{b,c}` is /a/b and /a/c; `{id}` is one path."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", text)
    if not found:
        return [text]
    return [text[:found.start()] + word + text[found.end():] for word in found.group(1).split(",")]


def listed():
    """The page's routes: (service, method, path) → (marks, who)."""
    text = (REPOSITORY / "Shared" / "CONTRACTS.md").read_text()
    section = text[text.index("\n## 7."):text.index("\n## 8.")]
    routes = {}
    for line in section.splitlines():
        if not line.startswith("|") or line.startswith(("|--", "| route |")):
            continue
        cell, service, who = (without_notes(part) for part in line.strip("|").split("|"))
        # Nothing stands there that is not understood.
        assert not ROUTE.sub("", cell).strip(" ,"), f"in a form that is not read: {cell}"
        words = frozenset(word.strip() for word in who.split(","))
        assert words in ({"anyone"}, {"signed in"}) or words <= ROLES, f"who is this? {who}"
        for method, path, marks in ROUTE.findall(cell):
            for one in paths(path):
                key = (service, method, one)
                assert key not in routes, f"listed twice: {key}"
                routes[key] = ("".join(sorted(marks.replace(" ", ""))), words)
    return routes


def described(documents):
    """The services' own routes in the same form."""
    routes = {}
    for service, document in documents.items():
        for path, item in document["paths"].items():
            for method in METHODS:
                if (operation := item.get(method)) is None:
                    continue
                wanted = {
                    parameter["name"].lower() for parameter in operation.get("parameters", [])
                    if parameter["in"] == "header" and parameter.get("required")}
                marks = ("*" if "idempotency-key" in wanted else "") + ("≥" if "if-match" in wanted else "")
                who = operation.get("x-roles") or ["signed in" if "security" in operation else "anyone"]
                routes[service, method.upper(), path] = (marks, frozenset(who))
    return routes


@pytest.fixture(scope="module")
def documents(city):
    return {service: city.person().seen(f"/{service}/openapi.json") for service in SERVICES}


def test_the_page_lists_every_route_of_every_service_and_no_other(documents):
    page, code = listed(), described(documents)
    assert sorted(code.keys() - page.keys()) == [], "not on the page"
    assert sorted(page.keys() - code.keys()) == [], "on the page only"


def test_who_may_call_a_route_and_what_it_needs_is_what_the_page_says(documents):
    page, code = listed(), described(documents)
    wrong = [
        f"{' '.join(route)}: the page says {page[route]}, the service {code[route]}"
        for route in sorted(page.keys() & code.keys()) if page[route] != code[route]]
    assert not wrong, "\n".join(wrong)


def test_every_list_has_its_pages(documents):
    """What answers with `next` takes `limit` and `cursor`."""
    found = 0
    for service, document in documents.items():
        for path, item in document["paths"].items():
            operation = item.get("get", {})
            answer = operation.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
            if path in WHOLE or "next" not in answer.get("schema", {}).get("properties", {}):
                continue
            names = {parameter["name"] for parameter in operation.get("parameters", [])}
            assert {"limit", "cursor"} <= names, f"{service} {path}"
            found += 1
    assert found > 5
