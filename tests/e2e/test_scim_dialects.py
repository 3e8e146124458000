"""A real SCIM server behind a proxy that wants one form of PATCH and refuses all others: the job gets on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.http_proxy import Asked, HttpProxy
from tests.support.http_server import Act, said
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people

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


@pytest.mark.parametrize("form", [capitals, arrays, plain_json, versions])
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
