"""A real SCIM server behind a proxy that wants one form of PATCH and refuses all others: the job gets on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.http_proxy import Asked, HttpProxy
from tests.support.http_server import Act, said
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people

pytestmark = pytest.mark.slow

USERS = 12
AT_ONCE = 8
"""Requests in flight: so many at most are refused before the first is understood."""


class Strict:
    """Refuses a PATCH that is not of its form, and passes the others on as the server understands them.

    It announces no versions, though it shows and heeds them.
    """

    def __init__(self, form: Callable[[Asked], Act | Asked]) -> None:
        self._form = form
        self.statuses: Counter[int] = Counter()

    def __call__(self, asked: Asked) -> Act:
        if asked.path.endswith("/ServiceProviderConfig"):
            reply = asked.forward()
            return reply.saying(reply.document | {"etag": {"supported": False}})
        if asked.method != "PATCH":
            return asked.forward()
        found = self._form(asked)
        if not isinstance(found, Asked):
            self.statuses[400] += 1
            return found
        answer = found.forward()
        self.statuses[answer.status] += 1
        return answer


def capitals(asked: Asked) -> Act | Asked:
    document = asked.document
    for each in document["Operations"]:
        if each["op"] not in {"Add", "Remove", "Replace"}:
            return said(400, {"status": "400", "detail": "op: Input should be 'Add', 'Remove' or 'Replace'"})
        each["op"] = each["op"].lower()
    return asked.saying(document)


def arrays(asked: Asked) -> Act | Asked:
    document = asked.document
    for each in document["Operations"]:
        if not isinstance(each.get("value", []), list):
            return said(400, {"status": "400", "detail": "Operations.value must be an array"})
        if "value" in each:
            (each["value"],) = each["value"]
    return asked.saying(document)


def plain_json(asked: Asked) -> Act | Asked:
    if asked.headers["content-type"] != "application/json":
        return said(415, {"status": "415"})
    return asked.with_header("content-type", "application/scim+json")


def versions(asked: Asked) -> Act | Asked:
    return asked if "if-match" in asked.headers else said(428, {"status": "428"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim")) as started:
        yield started


def one_operation(asked: Asked) -> Act | Asked:
    one = len(asked.document["Operations"]) == 1
    return asked if one else said(400, {"status": "400", "detail": "one operation a request"})


def short(attribute: str) -> str:
    return attribute.rpartition(":")[2]


def singly(tmp_path: Path, server: ScimServer, url: str) -> ScimJob:
    job = ScimJob(tmp_path / "job", server, agents=USERS, url=url, dialect="dialect.json")
    (job.folder / "dialect.json").write_text('{"at_once": false}')
    return job


def test_a_server_that_takes_one_operation_a_request_has_the_number_last_and_each_write_in_the_journal(
    tmp_path: Path, server: ScimServer
) -> None:
    server.restore([])
    server.put(people(USERS))
    server.forget()
    with HttpProxy(server.root, Strict(one_operation)) as proxy:
        job = singly(tmp_path, server, proxy.url)
        assert set(job.outcomes(job.run("apply")).values()) == {"written"}
        assert len(job.written()) == USERS
        by_user: dict[str, list[str]] = {}
        for each in server.writes():
            (edit,) = each.edits
            by_user.setdefault(each.path, []).append(short(edit["path"]))
        assert {len(names) for names in by_user.values()} == {6}
        assert {names[-1] for names in by_user.values()} == {"sipAccount"}
        (run,) = json.loads(job.try_("runs", "--json").out)
        assert run["outcomes"] == {"written": USERS}
        undone = job.run("undo", run["id"], code=3)["changes"]  # more than its limit allows
        assert len(undone) == USERS
        assert {short(each["name"]) for change in undone for each in change["attributes"]} == {"accountCode", "workNo"}


def test_what_was_written_of_a_user_before_a_refusal_is_known_and_the_next_run_writes_the_rest(
    tmp_path: Path, server: ScimServer
) -> None:
    """Law 11 does not cover such a server: a user keeps a part, without the new number."""
    server.restore([])
    server.put(people(USERS))
    refusing = True

    def form(asked: Asked) -> Act | Asked:
        (operation,) = asked.document["Operations"]
        if refusing and operation["path"].endswith("sipServicePort"):
            return said(403, {"status": "403"})
        return one_operation(asked)

    with HttpProxy(server.root, Strict(form)) as proxy:
        job = singly(tmp_path, server, proxy.url)
        report = job.run("apply", code=4)
        whys = [each["why"] for each in report["outcomes"] if each["outcome"] == "failed"]
        assert whys
        assert all("a part of its change was written" in why for why in whys)
        parts = [each[CEC] for each in server.all() if CEC in each]
        assert len(parts) == len(whys)
        assert all("accountCode" in part and "sipAccount" not in part for part in parts)
        refusing = False
        (first,) = json.loads(job.try_("runs", "--json").out)
        assert len(job.run("undo", first["id"])["changes"]) == len(whys), "the journal knows the parts"
        job.run("apply")
        assert len(job.written()) == USERS
        assert job.run("plan")["changes"] == []


def no_path(asked: Asked) -> Act | Asked:
    named = any("path" in each for each in asked.document["Operations"] if each["op"] != "remove")
    return said(400, {"status": "400", "detail": "no path, please"}) if named else asked


NEEDS: dict[Callable[[Asked], Act | Asked], dict[str, bool]] = {
    one_operation: {"at_once": False},
    no_path: {"paths": False},
    capitals: {"capitals": True},
    arrays: {"arrays": True},
}
"""What a server wants, and what a dialect file says of it."""


@pytest.mark.parametrize("form", NEEDS)
def test_a_dialect_file_says_what_no_refusal_can_only_mean(
    tmp_path: Path, server: ScimServer, form: Callable[[Asked], Act | Asked]
) -> None:
    server.restore([])
    server.put(people(USERS))
    with HttpProxy(server.root, Strict(form)) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=USERS, url=proxy.url)
        assert "written" not in job.outcomes(job.run("apply", code=4)).values()
        (job.folder / "dialect.json").write_text(json.dumps(NEEDS[form]))
        job.configure(directory={"dialect": "dialect.json"})
        assert set(job.outcomes(job.run("apply")).values()) == {"written"}
        assert len(job.written()) == USERS


@pytest.mark.parametrize("form", [plain_json, versions])
def test_a_job_gets_on_with_a_server_that_wants_one_form(
    tmp_path: Path, server: ScimServer, form: Callable[[Asked], Act | Asked]
) -> None:
    server.restore([])
    server.put(people(USERS))
    strict = Strict(form)
    with HttpProxy(server.root, strict) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=USERS, url=proxy.url)
        assert job.outcomes(job.run("apply")) == {f"agent{number:03}": "written" for number in range(1, USERS + 1)}
        assert len(job.written()) == USERS
        assert 1 <= strict.statuses[400] <= AT_ONCE
        strict.statuses.clear()
        del job.agents[0]["sipAccount"]
        job.agents[1]["sipAccount"] = "7999"
        job.tenant()
        assert set(job.outcomes(job.run("apply")).values()) == {"written"}
        assert job.run("plan")["changes"] == []


def test_a_server_that_refuses_its_own_versions_is_written_to_where_a_dialect_file_says_so(
    tmp_path: Path, server: ScimServer
) -> None:
    server.restore([])
    server.put(people(USERS))

    def meddle(asked: Asked) -> Act:
        refused = asked.method == "PATCH" and "if-match" in asked.headers
        return said(412, {"status": "412"}) if refused else asked.forward()

    with HttpProxy(server.root, meddle) as proxy:
        job = ScimJob(tmp_path / "job", server, agents=USERS, url=proxy.url, settle_time=0)
        outcomes = job.run("apply", code=4)["outcomes"]
        assert {each["outcome"] for each in outcomes} <= {"conflict", "skipped"}
        assert all("`dialect` file" in each["why"] for each in outcomes if each["outcome"] == "conflict")
        assert not job.written()
        (job.folder / "dialect.json").write_text('{"versions": false}')
        job.configure(directory={"dialect": "dialect.json"})
        assert set(job.outcomes(job.run("apply")).values()) == {"written"}
        assert len(job.written()) == USERS
