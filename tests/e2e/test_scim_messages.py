"""What is said, and done, where a SCIM server or what stands before it answers otherwise than it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http_proxy import Asked, HttpProxy, Meddler, at, busy
from tests.support.http_server import Act, said
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import EACH_KIND, ScimServer, people

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), people(26), kind=request.param) as started:
        yield started


@pytest.fixture
def job(server: ScimServer, tmp_path: Path) -> ScimJob:
    return ScimJob(tmp_path / "job", server, agents=3)


PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>canary-sip</body></html>"


@pytest.mark.parametrize(("meddler", "words"), [
    (lambda asked: said(404, {"detail": "No such path"}), "404 Not Found: No such path; not found. Check `url`"),
    (lambda asked: said(404, PAGE), "404 Not Found; not found. Check `url`"),
    (lambda asked: said(200, PAGE), "a list of users was answered with 200 OK and an HTML page, perhaps of a proxy"),
    (lambda asked: said(302, None, Location="https://login.example.org/x?t=canary-sip"),
     "redirected to login.example.org, not followed. Set `url` to the final address"),
    (lambda asked: said(304, None), "304 Not Modified: no answer to this request. Check the proxies and caches before"),
    (lambda asked: said(401, {"detail": "canary-sip"}), "the credentials are wrong or have expired"),
    (lambda asked: said(403, {"detail": "No right to read users"}),
     "403 Forbidden: No right to read users; grant the job's account, and the scope of its token, the right to read u"),
    (lambda asked: said(403, None, **{"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="users.read"'}),
     "the right to read users (GET /Users, GET /Users/{id}). The server asks for the scope users.read"),
    (busy(after="900"), "to be asked again after 900 s: the server asked for longer pauses than 1 s in all (directory"),
    (lambda asked: said(200, {"schemas": []}), "a list of users was answered with neither users nor their number"),
], ids=["404", "404 page", "login page", "redirect", "304", "401", "403", "a scope", "429", "no list"])  # fmt: skip
def test_each_has_a_sentence_of_its_own_and_nothing_is_written(job: ScimJob, meddler: Meddler, words: str) -> None:
    job.server.forget()
    with HttpProxy(job.server.root, at("GET", meddler, path="/Users")) as proxy:
        job.point(proxy.url, budget=1)
        ended = job.try_("apply")
    assert ended.code == 1, ended.said
    assert words in ended.err
    assert job.server.writes() == []


def test_a_list_that_does_not_say_its_number_is_read_until_it_shows_no_more(job: ScimJob) -> None:
    def numberless(asked: Asked) -> Act:
        reply = asked.forward()
        return reply.saying({name: held for name, held in reply.document.items() if name != "totalResults"})

    with HttpProxy(job.server.root, at("GET", numberless, path="/Users?")) as proxy:
        job.point(proxy.url, read="scan", page_size=5)
        assert job.run("plan")["summary"]["matched"] == 3


@pytest.mark.parametrize("status", [400, 403, 501])
def test_where_filters_are_refused_all_users_are_read_and_written(job: ScimJob, status: int) -> None:
    before = job.server.all()
    words = {"scimType": "invalidFilter", "detail": "This account may not search"}

    def meddle(asked: Asked) -> Act:
        return said(status, words) if "filter=" in asked.path else asked.forward()

    with HttpProxy(job.server.root, at("GET", meddle)) as proxy:
        job.point(proxy.url)
        job.run("apply")
        assert len(job.written()) == 3
        ended = job.try_("plan", "--fail-on-changes")
    job.server.restore(before)
    assert ended.code == 0, ended.said
    assert ended.err.count("reading all users") == 1
    assert "This account may not search" in ended.err


@pytest.mark.parametrize("read", ["scan", "find"])
def test_a_filter_that_leaves_everybody_out_is_told(job: ScimJob, read: str) -> None:
    job.point(filter='title eq "Nobody has it"', read=read)
    words = 'match `filter` title eq "Nobody has it". Check the filter, and its attributes and values'
    planned = job.try_("plan", "--report", "report.json")
    report = json.loads((job.folder / "report.json").read_text())
    assert report["summary"]["matched"] == 0
    assert report["about"]["noticed"].endswith(words)
    assert words not in planned.err
    checked = job.try_("check")
    assert f"note: 0 of 26 users in {job.server.url} {words}" in checked.out
    job.point(filter='userName sw "agent00"', read=read)
    assert words not in job.try_("plan").said + job.try_("check").said


def test_values_that_a_server_changes_beside_every_write_are_counted_once(job: ScimJob) -> None:
    if job.server.kind != "scim2-server":
        pytest.skip("it takes no title, and no name by its path")
    before = job.server.all()

    def meddle(asked: Asked) -> Act:
        stamp = {"op": "replace", "path": "title", "value": "Stamp"}
        document = asked.document
        return asked.saying(document | {"Operations": [*document["Operations"], stamp]}).forward()

    with HttpProxy(job.server.root, at("PATCH", meddle)) as proxy:
        job.point(proxy.url)
        report = job.run("apply")
    job.server.restore(before)
    assert {each["outcome"] for each in report["outcomes"]} == {"written"}
    assert "other values changed with the writes: title of 3 users" in report["about"]["noticed"]
