"""`check --probe`: what a server really does, on a user of its own; and a dialect that a job names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.support import http_proxy
from tests.support.http_proxy import Asked, HttpProxy, Meddler, at, failing, pass_on, replacing
from tests.support.http_server import Act, said
from tests.support.jobs import ldif_directory
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, EACH_KIND, ScimServer, people

pytestmark = pytest.mark.slow

EXPECTED = {
    "scim2-server": {
        "PATCH replace": "works", "PATCH remove": "works", "PATCH add": "works", "PATCH without a path": "works",
        "PATCH with a filter in the path": "not tried: the mapping writes no single element of an attribute",
        "attribute userName": "not tried: users are matched by it", "versions (ETag, If-Match)": "heeded",
        "filter id": "works", "filter with 25 terms": "works", "paging by cursor": "works",
        "paging by index": "pages can overlap", "totalResults": "right",
        "Bulk": "announced, 1000 operations and 1048576 octets at once; not used",
        f"secret {CEC}:sipPassword": "never shown",
    },
    "django-scim2": {
        "PATCH replace": "works", "PATCH remove": "refused: 501 Not Implemented",
        "PATCH add": "refused: 501 Not Implemented", "PATCH replace with null": "works",
        "PATCH without a path": (
            "refused: 500 Internal Server Error: Exception occurred while processing the … request"
        ), "versions (ETag, If-Match)": "none are shown",
        "filter id": "finds nobody", "filter with 25 terms": "works", "paging by cursor": "no next page is named",
        "paging by index": "pages can overlap", "totalResults": "right", "Bulk": "not announced",
        f"secret {CEC}:sipPassword": "never shown",
    },
}  # fmt: skip
DIALECTS = {
    "scim2-server": {"writes": "patch", "clearing": "remove", "versions": True, "cursor": True},
    "django-scim2": {"writes": "patch", "clearing": "null", "versions": False, "cursor": False},
}


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=request.param) as started:
        yield started


@pytest.fixture
def job(server: ScimServer, tmp_path: Path) -> ScimJob:
    server.restore([])
    server.put(people(12))
    server.forget()
    return ScimJob(tmp_path / "job", server, agents=8)


def probed(job: ScimJob) -> dict[str, Any]:
    """The dialect that a probe saves."""
    ended = job.try_("check", "--probe", "--save", "dialect.json")
    assert ended.code == 0, ended.said
    assert "probe-canary" not in ended.said
    found: dict[str, Any] = json.loads((job.folder / "dialect.json").read_text())
    return found


def test_a_probe_finds_out_what_a_server_does_and_leaves_nothing_behind(job: ScimJob) -> None:
    before = job.server.all()
    dialect = probed(job)
    assert job.server.all() == before
    assert {name: dialect["found"][name] for name in EXPECTED[job.server.kind]} == EXPECTED[job.server.kind]
    assert {name: dialect[name] for name in DIALECTS[job.server.kind]} == DIALECTS[job.server.kind]


def test_nothing_is_tried_out_unless_somebody_asks(job: ScimJob) -> None:
    assert job.try_("check").code == 0
    assert {each.method for each in job.server.log()} == {"GET"}


def test_a_job_that_names_the_dialect_goes_by_it(job: ScimJob) -> None:
    probed(job)
    job.point(dialect="dialect.json")
    job.run("apply")
    assert len(job.written()) == 8
    mapping = (Path(__file__).parents[2] / "mappings" / "scim-extension.yaml").read_text()
    (job.folder / "clearing.yaml").write_text(mapping.replace("when_absent: keep", "when_absent: clear"))
    job.configure(mapping="clearing.yaml")
    del job.agents[2]["sipAccount"]
    job.tenant()
    job.server.forget()
    job.run("apply")
    assert not job.server.stored("agent003")[CEC].get("sipAccount")
    # but for the first write, which tries whether a version that is none is refused
    requests = [each for each in job.server.log() if each.method == "PATCH" and each.status != 412]
    assert [(each.status < 300, len(each.edits)) for each in requests] == [(True, 1)], "it was known how to clear"


def test_the_file_of_an_earlier_probe_is_replaced_and_no_other_of_the_job(job: ScimJob) -> None:
    probed(job)
    job.point(dialect="dialect.json")
    probed(job)
    ended = job.try_("check", "--probe", "--save", "agents.json")
    assert ended.code == 64
    assert "agents.json" in ended.err


@pytest.mark.parametrize(
    ("options", "said_so"), [(["--save", "x.json"], "--probe"), (["--probe"], "the probe is for SCIM servers")]
)
def test_what_does_not_go_together_is_told(tmp_path: Path, options: list[str], said_so: str, job: ScimJob) -> None:
    if options == ["--probe"]:
        (job.folder / "people.ldif").write_text("version: 1\n")
        job.configure(directory=ldif_directory(), mapping="ldif")
    ended = job.try_("check", *options)
    assert ended.code == 64, ended.said
    assert said_so in ended.err


@pytest.mark.parametrize("text", ["{", "[]", '{"writes": "post"}', '{"schema": "other/1"}', '{"unknown": 1}'])
def test_a_file_that_is_no_dialect_is_told(job: ScimJob, text: str) -> None:
    (job.folder / "dialect.json").write_text(text)
    job.point(dialect="dialect.json")
    ended = job.try_("plan")
    assert ended.code == 78
    assert "dialect.json" in ended.err


# ---------------------------------------------------------------- servers that are not what they say


def through(job: ScimJob, proxy: HttpProxy) -> dict[str, Any]:
    job.point(proxy.url)
    return probed(job)


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[ScimJob]:
    with ScimServer.start(tmp_path / "server", people(12)) as started:
        yield ScimJob(tmp_path / "job", started, agents=8)


def test_versions_that_are_announced_and_not_heeded_are_seen(reference: ScimJob) -> None:
    def deaf(asked: Asked) -> Act:
        kept = {name: value for name, value in asked.headers.items() if name != "if-match"}
        return replace(asked, headers=kept).forward()

    with HttpProxy(reference.server.root, deaf) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"]["versions (ETag, If-Match)"].startswith("ignored")
    assert dialect["versions"] is False


def test_a_server_that_drops_changes_is_seen(reference: ScimJob) -> None:
    with HttpProxy(reference.server.root, at("PATCH", http_proxy.dropped)) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"]["PATCH replace"] == "confirmed but not done"


def test_a_server_that_wipes_what_stands_beside_is_seen(reference: ScimJob) -> None:
    with HttpProxy(reference.server.root, at("PATCH", http_proxy.wiping("displayName"))) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"]["PATCH beside"] == "takes away displayName"


def test_filters_that_are_ignored_are_seen(reference: ScimJob) -> None:
    def ignoring(asked: Asked) -> Act:
        return replace(asked, path=asked.path.partition("?")[0]).forward()

    with HttpProxy(reference.server.root, at("GET", ignoring)) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"]["filter userName"].startswith("ignored")


def test_a_user_that_cannot_be_made_ends_the_probe(reference: ScimJob) -> None:
    before = reference.server.all()
    with HttpProxy(reference.server.root, at("POST", lambda asked: said(403, {"detail": "canary-sip"}))) as proxy:
        reference.point(proxy.url)
        ended = reference.try_("check", "--probe")
    assert ended.code == 1
    assert "403" in ended.err
    assert reference.server.all() == before


def test_a_user_that_cannot_be_removed_is_named(reference: ScimJob) -> None:
    with HttpProxy(reference.server.root, at("DELETE", failing(403))) as proxy:
        reference.point(proxy.url)
        ended = reference.try_("check", "--probe")
    assert ended.code == 1
    (left,) = {user["userName"] for user in reference.server.all()} - {each["userName"] for each in people(12)}
    assert left in ended.err
    assert left.startswith("cec-connector-probe-")


# ---------------------------------------------------------------- pages that are not what they say


def cursor_standing_still(asked: Asked) -> Act:
    """A next page is named, and it is the first one again."""
    path, _, query = asked.path.partition("?")
    told = {name: "" if name == "cursor" else value for name, value in parse_qsl(query, keep_blank_values=True)}
    return replace(asked, path=f"{path}?{urlencode(told)}").forward()


def cursor_refused(asked: Asked) -> Act:
    """A next page is named, and there is none."""
    return said(400, {"scimType": "invalidCursor"}) if re.search("cursor=[^&]", asked.path) else asked.forward()


@pytest.mark.parametrize(("meddler", "what", "seen", "cursor"), [
    (http_proxy.standing_still, "paging by index", "ignores startIndex: the second page is the first one", False),
    (http_proxy.total(3), "totalResults", "wrong: 3, where 13 users are shown", True),
    (http_proxy.capped(3), "totalResults", "not judged: there are more users than a page shows", True),
    (cursor_standing_still, "paging by cursor", "the next page is the first one", False),
    (cursor_refused, "paging by cursor", "the next page is refused: 400 Bad Request, invalidCursor", False),
], ids=["standing still", "too low", "capped", "cursor standing still", "cursor refused"])  # fmt: skip
def test_pages_that_are_not_what_they_say_are_seen(
    reference: ScimJob, meddler: Meddler, what: str, seen: str, cursor: bool
) -> None:
    with HttpProxy(reference.server.root, at("GET", meddler, path="/Users?")) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"][what] == seen
    assert dialect["cursor"] is cursor


def test_a_server_whose_list_cannot_be_read_whole_is_probed_all_the_same(reference: ScimJob) -> None:
    with HttpProxy(reference.server.root, at("GET", http_proxy.total(50), path="/Users?")) as proxy:
        reference.point(proxy.url)
        ended = reference.try_("check", "--probe", "--save", "dialect.json")
    assert ended.code == 1
    assert "reports 50 users" in ended.err
    assert "totalResults: wrong: 50, where 13 users are shown" in ended.out
    assert (reference.folder / "dialect.json").exists()
    assert len(reference.server.all()) == 12


# ---------------------------------------------------------------- how users are written


def without_patch(put: Meddler = pass_on, *, open_: bool = False) -> Meddler:
    """PATCH is announced and refused, and PUT is as it is said; `open_`: the schemas keep nothing to themselves."""

    def meddle(asked: Asked) -> Act:
        if asked.method == "PATCH":
            return said(501)
        if asked.method == "PUT":
            return put(asked)
        reply = asked.forward()
        return replace(reply, body=reply.body.replace(b'"never"', b'"default"')) if open_ else reply

    return meddle


def forgetting(asked: Asked) -> Act:
    """A PUT that loses an attribute."""
    return asked.saying({name: value for name, value in asked.document.items() if name != "displayName"}).forward()


@pytest.mark.parametrize(("put", "open_", "writes", "seen"), [
    (pass_on, True, "put", "works"),
    (pass_on, False, "no", "works for shown values; it may erase hidden ones"),
    (forgetting, True, "no", "takes away or changes displayname"),
    (http_proxy.dropped, True, "no", "confirmed but not done"),
    (failing(405), True, "no", "refused: 405 Method Not Allowed"),
], ids=["keeps", "hides", "forgets", "drops", "refuses"])  # fmt: skip
def test_where_patch_is_announced_and_refused_it_is_seen_what_a_put_does(
    reference: ScimJob, put: Meddler, open_: bool, writes: str, seen: str
) -> None:
    before = reference.server.all()
    with HttpProxy(reference.server.root, without_patch(put, open_=open_)) as proxy:
        dialect = through(reference, proxy)
    assert dialect["found"]["PATCH replace"] == "refused: 501 Not Implemented"
    assert (dialect["writes"], dialect["found"]["PUT"]) == (writes, seen)
    assert dialect["versions"] is (writes == "put"), "they are tried out in the way in which users are written"
    assert reference.server.all() == before


def test_patch_that_is_not_announced_and_works_is_used(reference: ScimJob) -> None:
    def denying(asked: Asked) -> Act:
        reply = asked.forward()
        return reply.saying({**reply.document, "patch": {"supported": False}})

    with HttpProxy(reference.server.root, at("GET", denying, path="/ServiceProviderConfig")) as proxy:
        dialect = through(reference, proxy)
    assert dialect["writes"] == "patch"
    assert "PUT" not in dialect["found"]


# ---------------------------------------------------------------- without PATCH


@pytest.fixture
def patchless(tmp_path: Path) -> Iterator[ScimJob]:
    users = people(10, password="theirs", title="Sample", phoneNumbers=[{"type": "work", "value": "+49 1"}])
    with ScimServer.start(tmp_path / "server", users, features={"patch": {"supported": False}}) as started:
        yield ScimJob(tmp_path / "job", started, agents=8)


def test_without_patch_nothing_is_written_where_a_put_could_take_a_password_away(patchless: ScimJob) -> None:
    before = patchless.server.all()
    planned = patchless.run("plan")
    assert any("no PATCH" in caution and "Nothing was written" in caution for caution in planned["cautions"])
    document = patchless.run("apply", code=4)
    assert {each["outcome"] for each in document["outcomes"]} == {"skipped"}
    assert patchless.server.all() == before


def test_without_patch_users_are_replaced_whole_where_a_dialect_allows_it(patchless: ScimJob) -> None:
    before = {each["userName"]: each for each in patchless.server.all()}
    (patchless.folder / "dialect.json").write_text('{"writes": "put", "versions": true}')
    patchless.point(dialect="dialect.json")
    assert any("replaced whole" in caution for caution in patchless.run("plan")["cautions"])
    patchless.run("apply")
    assert len(patchless.written()) == 8
    for user in patchless.server.all():
        ours = {CEC, "schemas"}
        was = before[user["userName"]]
        assert {k: v for k, v in user.items() if k not in ours} == {k: v for k, v in was.items() if k not in ours}
    assert patchless.run("plan", "--fail-on-changes")["changes"] == []
    assert {each.method for each in patchless.server.writes()} == {"PUT"}


def test_without_patch_a_probe_tells_that_a_put_keeps_what_is_shown_and_does_not_rely_on_it(patchless: ScimJob) -> None:
    before = patchless.server.all()
    dialect = probed(patchless)
    assert dialect["writes"] == "no"
    assert dialect["found"]["PUT"] == "works for shown values; it may erase hidden ones"
    assert patchless.server.all() == before


@pytest.fixture
def replaced(patchless: ScimJob) -> Iterator[ScimJob]:
    """Users are replaced whole, and what a PUT does not say is gone."""
    (patchless.folder / "dialect.json").write_text('{"writes": "put", "versions": true}')
    with HttpProxy(patchless.server.root, at("PUT", replacing("sipPassword", CEC))) as proxy:
        patchless.point(proxy.url, dialect="dialect.json")
        patchless.run("apply")
        yield patchless


def test_a_user_that_is_replaced_whole_is_told_its_secret_again_and_only_then(replaced: ScimJob) -> None:
    for seat in (11, 12, 13):
        replaced.server.forget()
        replaced.agents[0]["workNo"] = seat
        replaced.tenant()
        document = replaced.run("apply")
        assert (document["problems"], replaced.outcomes(document)) == ([], {"agent001": "written"})
        assert len(replaced.written()) == 8
        assert len(replaced.server.writes()) == 1
        assert replaced.run("plan", "--fail-on-changes")["changes"] == []


def test_whoever_takes_a_run_back_is_told_which_secrets_may_go_with_it_and_the_next_run_brings_them(
    replaced: ScimJob,
) -> None:
    replaced.agents[0]["workNo"] = 11
    replaced.tenant()
    replaced.run("apply")
    run = json.loads(replaced.try_("runs", "--json").out)[0]["id"]
    taken_back = replaced.try_("undo", run, "--apply")
    assert taken_back.code == 0, taken_back.said
    assert "it may be lost, since the whole user is written" in taken_back.out
    assert len(replaced.written()) == 7
    assert replaced.try_("release").code == 0
    replaced.run("apply")
    assert len(replaced.written()) == 8


def test_a_secret_is_not_told_again_where_what_else_was_to_change_is_held_back(replaced: ScimJob) -> None:
    holder = replaced.server.stored("agent010")
    held = {"schemas": [*holder["schemas"], CEC], CEC: {"workNo": 11}}
    replaced.server.ask("PUT", f"/Users/{holder['id']}", holder | held).raise_for_status()
    replaced.agents[0]["workNo"] = 11
    replaced.tenant()
    planned = replaced.run("plan")
    assert [each["kind"] for each in planned["problems"]] == ["reassigned"]
    assert planned["changes"] == []
