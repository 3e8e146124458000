"""The user that `check --probe` makes: taken by servers that are particular, and gone afterwards, whatever happens."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_proxy import Asked, HttpProxy, Meddler, Reply, at, cut_after, failing, pass_on
from tests.support.http_server import Act, said
from tests.support.program import ended, started
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, CORE, ScimServer, people

pytestmark = pytest.mark.slow

NAME = "cec-connector-probe-"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim")) as started_:
        yield started_


@pytest.fixture
def job(server: ScimServer, tmp_path: Path) -> ScimJob:
    server.restore([])
    server.put(people(12))
    return ScimJob(tmp_path / "job", server, agents=8)


def probed(job: ScimJob, meddler: Meddler, code: int = 0) -> tuple[dict[str, str], str]:
    """What a probe through such a proxy finds, and says; nobody is left behind."""
    before = job.server.all()
    with HttpProxy(job.server.root, meddler) as proxy:
        job.point(proxy.url)
        ended_ = job.try_("check", "--probe", "--save", "dialect.json")
    assert ended_.code == code, ended_.said
    assert job.server.all() == before
    saved = job.folder / "dialect.json"
    return json.loads(saved.read_text())["found"] if saved.exists() else {}, ended_.said


# ---------------------------------------------------------------- what servers want of a user


def wanting(test: Any) -> Meddler:
    """Users that are to be made have to pass."""
    refusal = said(400, {"scimType": "invalidValue", "detail": "The value of some attribute is not valid"})
    return at("POST", lambda asked: asked.forward() if test(asked.document) else refusal)


def address(text: str) -> bool:
    """As validators have it: no domain that is kept for no use (RFC 2606 §2)."""
    return "@" in text and not text.endswith((".invalid", ".test", ".example", ".localhost"))


@pytest.mark.parametrize("test", [
    lambda user: all(address(each["value"]) for each in user.get("emails", [{"value": ""}])),
    lambda user: address(user["userName"]),
    lambda user: user.keys() <= {"schemas", "userName"},
    lambda user: len(user.get("password", "")) > 12,
    lambda user: {"displayName", "name", "active"} <= user.keys() and user["emails"][0]["primary"],
], ids=["an e-mail address", "a name that is one", "nothing else", "a password", "the usual"])  # fmt: skip
def test_a_server_that_is_particular_about_users_takes_the_one_of_a_probe(job: ScimJob, test: Any) -> None:
    found, _ = probed(job, wanting(test))
    assert found["PATCH replace"] == "works"
    assert found["filter userName"] == "works"


REQUIRED: dict[str, Any] = {
    "title": {"name": "title", "type": "string", "required": True, "canonicalValues": ["Clerk", "Boss"]},
    "userType": {"name": "userType", "type": "string", "required": True},
    "phoneNumbers": {
        "name": "phoneNumbers", "type": "complex", "multiValued": True, "required": True,
        "subAttributes": [{"name": "value", "type": "string"}, {"name": "type", "type": "string"}],
    },
    "id": {"name": "id", "type": "string", "required": True, "mutability": "readOnly"},
}  # fmt: skip


def test_what_the_schema_requires_is_said_and_a_password_only_then(job: ScimJob) -> None:
    made: list[Any] = []

    def meddle(asked: Asked) -> Act:
        if asked.method == "POST":
            made.append(asked.document)
        if asked.method != "GET" or not asked.path.endswith(("/Schemas", "/ResourceTypes")):
            return asked.forward()
        reply = asked.forward()
        document = reply.document
        for each in document["Resources"]:
            if each["id"] == CORE:
                kept = [one for one in each["attributes"] if one["name"] not in REQUIRED]
                each["attributes"] = kept + list(REQUIRED.values())
            if each["id"] == CEC:
                next(one for one in each["attributes"] if one["name"] == "workNo")["required"] = True
            if each.get("schema") == CORE:
                each["schemaExtensions"] = [{"schema": CEC, "required": True}]
        return reply.saying(document)

    probed(job, meddle)
    (user,) = made
    assert user["title"] == "Clerk"
    assert user["userType"].startswith(NAME)
    assert user["phoneNumbers"][0]["value"]
    assert isinstance(user[CEC]["workNo"], int)
    assert CEC in user["schemas"]
    assert not {"password", "id"} & user.keys()
    assert address(user["emails"][0]["value"])


def test_a_server_that_takes_no_user_at_all_is_told_with_its_words(job: ScimJob) -> None:
    _, told = probed(job, wanting(lambda user: False), code=1)
    assert "the user to create for the probe was answered with 400 Bad Request, invalidValue: The value of some" in told


# ---------------------------------------------------------------- what is tried on it


def test_nothing_is_tried_that_users_are_matched_by_or_that_the_mapping_does_not_write(job: ScimJob) -> None:
    (job.folder / "own.yaml").write_text(
        'match:\n  - {agent: "{accountCode}", directory: userName}\n  - {agent: "{accountCode}", directory: title}\n'
        'attributes:\n  title: "{accountCode}"\n  nickName: "{workNo}"\n'
        "  'phoneNumbers[type eq \"work\"].value': {value: '{workNo}', owns: '*'}\n"
    )
    tried: list[str] = []

    def meddle(asked: Asked) -> Act:
        tried.extend(each["path"] for each in asked.document["Operations"] if "path" in each)
        return asked.forward()

    before = job.server.all()
    with HttpProxy(job.server.root, at("PATCH", meddle)) as proxy:
        job.point(proxy.url)
        job.configure(mapping="own.yaml")
        ended_ = job.try_("check", "--probe", "--save", "dialect.json")
    assert ended_.code == 0, ended_.said
    assert {path.partition("[")[0] for path in tried} == {"nickName", "phoneNumbers"}
    found = json.loads((job.folder / "dialect.json").read_text())["found"]
    assert found["attribute title"] == found["attribute userName"] == "not tried: users are matched by it"
    assert found["PATCH replace"] == found["PATCH with a filter in the path"] == found["filter userName"] == "works"
    assert job.server.all() == before


def test_where_nothing_can_be_tried_it_is_said(job: ScimJob) -> None:
    (job.folder / "own.yaml").write_text(
        'match: [{agent: "{accountCode}", directory: title}]\nattributes: {title: "{accountCode}"}\n'
    )
    job.configure(mapping="own.yaml")
    ended_ = job.try_("check", "--probe")
    assert ended_.code == 0, ended_.said
    assert "PATCH: not tried: the mapping writes no single text or number" in ended_.out
    assert "filter userName: works" in ended_.out


def test_a_server_that_shows_a_change_a_moment_later_is_waited_for(job: ScimJob) -> None:
    """The first look at a changed user still shows it as it was."""
    old: list[Reply] = []

    def meddle(asked: Asked) -> Act:
        if asked.method == "PATCH":
            old[:] = [asked.without_header("if-match").get()]
        late = asked.method == "GET" and "/Users/" in asked.path and old
        return old.pop() if late else asked.forward()

    found, _ = probed(job, meddle)
    assert found["PATCH replace"] == found["PATCH remove"] == found["PATCH add"] == "works"


def test_a_server_that_demands_versions_is_told_them(job: ScimJob) -> None:
    def meddle(asked: Asked) -> Act:
        return asked.forward() if "if-match" in asked.headers else said(428, {"detail": "If-Match is required"})

    found, _ = probed(job, at("PATCH", meddle))
    assert found["versions"] == "demanded of every write (428)"
    assert found["PATCH replace"] == found["PATCH remove"] == found["PATCH add"] == "works"


def test_a_server_that_demands_versions_and_has_none_is_told_as_it_is(job: ScimJob) -> None:
    found, _ = probed(job, at("PATCH", lambda asked: said(428)))
    assert found["PATCH replace"] == "refused: 428 Precondition Required"


# ---------------------------------------------------------------- its end


def located(asked: Asked) -> Act:
    """A user was made, says the answer, and where, and no more (RFC 7644 §3.3)."""
    reply = asked.forward()
    return replace(reply, body=b"", headers={**reply.headers, "location": f"/v2/Users/{reply.document['id']}"})


def silent(asked: Asked) -> Act:
    """A user was made, says the answer, and nothing else."""
    reply = asked.forward()
    return replace(reply, body=b"", headers={})


@pytest.mark.parametrize(("meddler", "code"), [
    (at("POST", located), 0), (at("POST", silent), 0), (at("POST", cut_after), 1),
    (at("POST", failing(500, acts=True)), 1),
    (at("PATCH", cut_after, skip=3, times=1), 1), (at("DELETE", failing(502), times=7), 0),
], ids=["location", "no body", "cut", "500", "cut later", "a gateway"])  # fmt: skip
def test_the_user_is_removed_whatever_the_answers_are_worth(job: ScimJob, meddler: Meddler, code: int) -> None:
    probed(job, meddler, code)


@pytest.mark.parametrize(("meddler", "why"), [
    (at("DELETE", lambda asked: said(204)), "the server confirmed it, and still shows it"),
    (at("DELETE", lambda asked: said(403, {"detail": "No right to delete users"})), "No right to delete users"),
], ids=["stays", "refused"])  # fmt: skip
def test_a_user_that_stays_is_named(job: ScimJob, meddler: Meddler, why: str) -> None:
    with HttpProxy(job.server.root, meddler) as proxy:
        job.point(proxy.url)
        ended_ = job.try_("check", "--probe")
    assert ended_.code == 1
    (left,) = [user["userName"] for user in job.server.all() if user["userName"].startswith(NAME)]
    assert f"the probe's user {left} could not be removed" in ended_.err
    assert why in ended_.err


def test_a_user_that_may_have_been_made_and_is_not_found_is_named(job: ScimJob) -> None:
    def meddle(asked: Asked) -> Act:
        return failing(400)(asked) if "filter=" in asked.path else at("POST", cut_after)(asked)

    with HttpProxy(job.server.root, meddle) as proxy:
        job.point(proxy.url)
        ended_ = job.try_("check", "--probe")
    assert ended_.code == 1
    (left,) = [user["userName"] for user in job.server.all() if user["userName"].startswith(NAME)]
    assert f"the probe's user {left} may have been created, and was not found" in ended_.err


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_ends_a_probe_and_its_user_is_removed(job: ScimJob, sign: signal.Signals, times: int) -> None:
    """The second signal comes while the server is still silent about a write."""
    before = job.server.all()
    reached, go_on = threading.Event(), threading.Event()

    def meddle(asked: Asked) -> Act:
        reached.set()
        go_on.wait(30)
        return pass_on(asked)

    with HttpProxy(job.server.root, at("PATCH", meddle, times=1)) as proxy:
        job.point(proxy.url)
        with started(
            "check", "job.yaml", "--probe", folder=job.folder, env={"SCIM_TOKEN": job.server.token}
        ) as process:
            assert reached.wait(30)
            for _ in range(times):
                process.send_signal(sign)
                if times > 1:
                    wait_until_seen(process.pid, sign)
            if times == 1:
                go_on.set()
            done = ended(process)
            go_on.set()
    assert done.code == 1, done.said
    assert "Traceback" not in done.said
    assert job.server.all() == before


def wait_until_seen(pid: int, sign: signal.Signals) -> None:
    """Until the signal has been delivered: two of one kind that wait together are one."""
    while True:
        fields = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        if not int(fields["ShdPnd"], 16) & 1 << (sign - 1):
            return


def test_a_probe_waits_for_nobody_and_makes_no_user_while_another_run_holds_the_directory(job: ScimJob) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def meddle(asked: Asked) -> Act:
        reached.set()
        go_on.wait(60)
        return pass_on(asked)

    with HttpProxy(job.server.root, at("PATCH", meddle, times=1)) as proxy:
        job.point(proxy.url)
        with started("apply", "job.yaml", folder=job.folder, env={"SCIM_TOKEN": job.server.token}) as process:
            assert reached.wait(30)
            ended_ = job.try_("check", "--probe")
            go_on.set()
            assert ended(process).code == 0
        assert proxy.count("POST") == 0
    assert ended_.code == 75, ended_.said
    assert "another run holds this directory" in ended_.err
