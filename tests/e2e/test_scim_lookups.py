"""Look-ups at servers that refuse long filters, or any with `or`, or that do not look: real ones, behind a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from tests.support.http_proxy import Asked, HttpProxy, at
from tests.support.http_server import Act, said
from tests.support.scim_job import Json, ScimJob
from tests.support.scim_servers import CEC, EACH_KIND, ScimServer, user

pytestmark = pytest.mark.slow

USERS, AGENTS = 40, 30


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    kind = getattr(request, "param", "scim2-server")
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=kind) as started:
        # whoever has a seat and an account already shows that users can be searched by them
        started.put(
            user(number, **{CEC: {"workNo": 1000 + number, "sipAccount": f"{7000 + number}"}})
            for number in range(1, USERS + 1)
        )
        yield started


def asked_for(path: str) -> list[str]:
    """The terms of a request's filter."""
    filters = parse_qs(urlsplit(path).query).get("filter", [])
    return [term for each in filters for term in each.split(" or ")]


def any_or(terms: list[str]) -> bool:
    return len(terms) > 1


def more_than_five(terms: list[str]) -> bool:
    return len(terms) > 5


def more_than_one_of_its_own(terms: list[str]) -> bool:
    """What is tried first, with one user among values that nobody has, is borne."""
    return sum('"agent' in term.lower() for term in terms) > 1


def changed(document: Json) -> set[tuple[str, str]]:
    """Whom a plan would change, each with the agent that is matched."""
    return {(each["user"]["name"], each["agent"]["accountCode"]) for each in document["changes"]}


def everybody(number: int) -> set[tuple[str, str]]:
    """The first so many users, each with the agent of that name."""
    return {(f"agent{each:03}", f"agent{each:03}") for each in range(1, number + 1)}


@pytest.mark.parametrize(
    ("refused", "most"),
    [(any_or, 1), (more_than_five, 5), (more_than_one_of_its_own, 1)],
    ids=["any or", "more than five terms", "more than one that is there"],
)
def test_filters_that_are_refused_are_asked_again_with_fewer_terms_and_nobody_is_missed(
    server: ScimServer, tmp_path: Path, refused: Callable[[list[str]], bool], most: int
) -> None:
    def refusing(asked: Asked) -> Act:
        too_much = refused(asked_for(asked.path))
        return said(400, {"scimType": "invalidFilter"}) if too_much else asked.forward()

    with HttpProxy(server.root, at("GET", refusing)) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=AGENTS, url=proxy.url, read="find")
        document = job.run("plan")
        lists = [each.path for each in proxy.seen if each.path.partition("?")[0].endswith("/Users")]
    assert document["summary"]["matched"] == AGENTS
    assert changed(document) == everybody(AGENTS)
    looked_up = [terms for terms in map(asked_for, lists) if terms]
    borne = [terms for terms in looked_up if not refused(terms)]
    assert max(sum(term.startswith('userName eq "agent') for term in terms) for terms in borne) == most
    assert len(borne) < len(looked_up)
    assert len(lists) - len(looked_up) == 1, "some users are seen first, and they are never read all"


@pytest.mark.parametrize("skip", [0, 1], ids=["always", "but for the first time"])
@pytest.mark.parametrize("server", EACH_KIND, indirect=True)
def test_a_server_that_answers_everybody_whatever_is_asked_matches_nobody_falsely(
    server: ScimServer, tmp_path: Path, skip: int
) -> None:
    def ignoring(asked: Asked) -> Act:
        path, _, query = asked.path.partition("?")
        told = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "filter"]
        return replace(asked, path=f"{path}?{urlencode(told)}").forward()

    with HttpProxy(server.root, at("GET", ignoring, path="filter=", skip=skip)) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=USERS + 5, url=proxy.url, read="find")
        document = job.run("plan")
    assert sum("filter=" in each.path for each in proxy.seen) > skip
    assert document["summary"]["matched"] == USERS
    assert changed(document) == everybody(USERS)
