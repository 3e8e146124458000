"""SCIM servers that refuse, cut, stall and lie: real ones, behind a proxy that meddles, and the program before it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connector.directories.scim.protocol import Answer, LostAnswerError, Request
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret
from connector.settings.scim import ScimDirectory
from tests.support import http_proxy as meddlers
from tests.support.faulty_cec import bomb, trickle, trickle_head
from tests.support.http_proxy import HttpProxy, Meddler, at, busy, cut_after, cut_before, cut_within, failing, pass_on
from tests.support.http_server import Act, HttpServer, said
from tests.support.jobs import env
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, CORE, EACH_KIND, ENTERPRISE, PATCH_OP, Kind, ScimServer, people

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), people(24)) as started:
        yield started


def transport(server: ScimServer, proxy: HttpProxy) -> closing[HttpTransport]:
    server.forget()
    base = proxy.url + server.url.removeprefix(server.root)
    job = {"type": "scim", "url": base, "token": {"env": "T"}, "allow_plaintext": True}
    return closing(HttpTransport(ScimDirectory.model_validate(job), Secret(server.token)))


def titled(server: ScimServer, title: str) -> list[Request]:
    """A request for each user that gives it a title."""
    edit = {"op": "replace", "path": "title", "value": title}
    body = {"schemas": [PATCH_OP], "Operations": [edit]}
    shown = (("attributes", "title"),)  # RFC 7644 §3.5.2: with these, the answer to a PATCH has a body
    return [Request("PATCH", f"/Users/{user['id']}", shown, body) for user in server.all()]


def titles(server: ScimServer) -> Counter[str | None]:
    return Counter(user.get("title") for user in server.all())


def test_of_many_writes_at_once_those_that_the_server_is_too_busy_for_are_their_makers_to_repeat(
    server: ScimServer,
) -> None:
    meddler = at("PATCH", busy(429, "1"), skip=5, times=6)
    with HttpProxy(server.root, meddler) as proxy, transport(server, proxy) as scim:
        statuses = Counter(scim.each(lambda request: scim.send(request).status, titled(server, "busy")))
    assert statuses == {200: 18, 429: 6}
    assert titles(server)["busy"] == 18
    assert len(server.writes()) == 18
    assert proxy.count("PATCH") == 24


@pytest.mark.parametrize(
    ("meddler", "done"), [(cut_before, 0), (cut_after, 1), (cut_within, 1)], ids=["before", "after", "within"]
)
def test_a_write_that_is_cut_off_is_lost_whether_it_was_done_or_not_and_is_not_repeated(
    server: ScimServer, meddler: Meddler, done: int
) -> None:
    with HttpProxy(server.root, at("PATCH", meddler, times=1)) as proxy, transport(server, proxy) as scim:
        with pytest.raises(LostAnswerError):
            scim.send(titled(server, f"cut {done}")[0])
        assert len(server.writes()) == done
        assert scim.send(Request("GET", "/Users", repeatable=True)).status == 200
    assert proxy.count("PATCH") == 1


@pytest.mark.parametrize("meddler", [cut_before, cut_after, cut_within, failing(502), failing(500)])
def test_a_reading_that_fails_once_is_repeated(server: ScimServer, meddler: Meddler) -> None:
    with HttpProxy(server.root, at("GET", meddler, times=1)) as proxy, transport(server, proxy) as scim:
        answer = scim.send(Request("GET", "/Users", repeatable=True))
    assert answer.status == 200


def test_an_html_page_is_an_answer_that_shows_nothing_of_itself(server: ScimServer) -> None:
    with HttpProxy(server.root, at("PATCH", failing(500))) as proxy, transport(server, proxy) as scim:
        answer: Answer = scim.send(titled(server, "canary-4d1e")[0])
    assert answer.status == 500
    assert b"canary-4d1e" in answer.body
    assert "canary-4d1e" not in repr(answer)


# ---------------------------------------------------------------- through the program


class World:
    """A server of one kind with 20 users, and jobs of 16 agents."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self.server = ScimServer.start(folder / "server", people(20), kind=kind)
        self.before = self.server.all()

    def job(self, proxy: HttpProxy | None = None, agents: int = 16, **directory: Any) -> ScimJob:
        """A new job, which finds the server behind the proxy, as it was at first."""
        self.server.restore(self.before)
        self.server.forget()
        url = proxy.url if proxy else ""
        folder = self._folder / f"job{len(list(self._folder.iterdir()))}"
        return ScimJob(folder, self.server, agents=agents, url=url, **directory)

    def untouched(self) -> bool:
        return self.server.all() == self.before


@pytest.fixture(scope="module", params=EACH_KIND)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp(request.param), request.param)
    with made.server:
        yield made


@pytest.mark.parametrize("meddler", [
    meddlers.total(50), meddlers.standing_still, failing(500), failing(502), failing(404), busy(after="900"),
    cut_before, cut_within,
], ids=["total too high", "standing still", "500", "502", "404", "busy for hours", "cut", "cut within"])  # fmt: skip
def test_what_cannot_be_read_whole_is_no_plan_and_nothing_is_written(world: World, meddler: Meddler) -> None:
    with HttpProxy(world.server.root, at("GET", meddler)) as proxy:
        job = world.job(proxy, read="scan", page_size=5, timeout=5, budget=1)
        ended = job.try_("apply")
    assert ended.code == 1, ended.said
    assert "Traceback" not in ended.said
    assert world.untouched()
    assert world.server.writes() == []


OF_ITSELF = ("/ServiceProviderConfig", "/Schemas", "/ResourceTypes")
NO_SUCH_PAGE = said(404, b"<html>canary-sip</html>", Content_Type="text/html")


@pytest.mark.parametrize("page", OF_ITSELF)
@pytest.mark.parametrize("answer", [
    NO_SUCH_PAGE, said(200, b"<html>canary-sip"), said(302, None, Location="https://login.example.org/?canary-sip"),
    said(200, b"canary-sip", Content_Encoding="gzip"), bomb(65 << 20),
], ids=["missing", "HTML", "redirect", "garbled", "too long"])  # fmt: skip
def test_a_page_of_the_server_s_own_that_cannot_be_read_is_a_caution_and_users_are_written(
    world: World, page: str, answer: Act
) -> None:
    with HttpProxy(world.server.root, at("GET", lambda asked: answer, path=page)) as proxy:
        job = world.job(proxy, agents=3)
        document = job.run("apply")
        assert len(job.written()) == 3
    assert any(page in caution and "is assumed" in caution for caution in document["cautions"])


def test_a_page_of_the_server_s_own_that_it_is_too_busy_for_till_the_end_is_nothing_to_assume(world: World) -> None:
    with HttpProxy(world.server.root, at("GET", busy(after="900"), path="/Schemas")) as proxy:
        ended = world.job(proxy, budget=1).try_("apply")
    assert ended.code == 1, ended.said
    assert "directory.budget" in ended.err
    assert world.untouched()


def test_a_server_that_says_nothing_of_itself_at_all_is_written_to_and_settles(world: World) -> None:
    silent = at("GET", lambda asked: NO_SUCH_PAGE if asked.path.endswith(OF_ITSELF) else pass_on(asked), path="")
    with HttpProxy(world.server.root, silent) as proxy:
        job = world.job(proxy, agents=3)
        assert len(job.run("apply")["cautions"]) >= 4
        assert len(job.written()) == 3
        assert job.run("plan", "--fail-on-changes")["changes"] == []


WRONG: dict[str, Any] = {
    "/ServiceProviderConfig": {"patch": "yes", "etag": [], "bulk": None, "pagination": "cursor"},
    "/Schemas": {"Resources": [7, {"id": 5}, {"id": CEC, "attributes": [{"name": ["x"]}, {"nothing": 1}, "workNo"]}]},
    "/ResourceTypes": {"Resources": [None, {"schema": 5}, {"endpoint": "/Elsewhere"}]},
}


@pytest.mark.parametrize("page", WRONG)
def test_a_page_of_the_server_s_own_that_says_nonsense_is_no_more_than_one_that_is_missing(
    world: World, page: str
) -> None:
    with HttpProxy(world.server.root, at("GET", lambda asked: said(200, WRONG[page]), path=page)) as proxy:
        job = world.job(proxy, agents=3)
        job.run("apply")
        assert len(job.written()) == 3
        assert job.run("plan", "--fail-on-changes")["changes"] == []


def test_a_total_that_is_too_low_matters_where_nothing_else_tells_the_end(world: World) -> None:
    with HttpProxy(world.server.root, at("GET", meddlers.total(10))) as proxy:
        job = world.job(proxy, read="scan", page_size=5)
        if world.server.kind == "scim2-server":  # it pages by cursor
            assert job.run("plan")["summary"]["matched"] == 16
        else:
            job.run("plan", code=1)


def test_pages_that_are_silently_capped_are_read_to_the_end(world: World) -> None:
    with HttpProxy(world.server.root, at("GET", meddlers.capped(3))) as proxy:
        job = world.job(proxy, read="scan", page_size=10)
        assert job.run("plan")["summary"]["matched"] == 16


@pytest.mark.parametrize(("code", "after"), [(429, "1"), (503, "0")])
def test_a_server_that_is_too_busy_now_and_then_is_written_once_for_everybody(
    world: World, code: int, after: str
) -> None:
    with HttpProxy(world.server.root, at("PATCH", busy(code, after), skip=3, times=6)) as proxy:
        job = world.job(proxy)
        document = job.run("apply")
        assert proxy.count("PATCH") == 16 + 6
    assert Counter(job.outcomes(document).values()) == {"written": 16}
    assert len(job.written()) == 16


def test_when_patience_ends_the_run_ends_in_part_and_names_what_is_left_and_the_next_goes_on(world: World) -> None:
    well = threading.Event()
    refusing = at("PATCH", lambda asked: pass_on(asked) if well.is_set() else busy(429, "2")(asked), skip=7)
    with HttpProxy(world.server.root, refusing) as proxy:
        done = 7
        job = world.job(proxy, budget=3)
        outcomes = job.outcomes(job.run("apply", code=4))
        assert Counter(outcomes.values()) == {"written": done, "skipped": 16 - done}
        assert {name for name, outcome in outcomes.items() if outcome == "written"} == job.written()
        well.set()
        assert Counter(job.outcomes(job.run("apply")).values()) == {"written": 16 - done}
        assert len(job.written()) == 16
        assert job.run("plan", "--fail-on-changes")["changes"] == []


@pytest.mark.parametrize("code", ["429", "503"])
def test_a_server_that_stays_too_busy_for_writes_ends_the_run_in_part_and_everybody_left_is_named(
    world: World, code: str
) -> None:
    """503 may come in the place of a server that has done it: where nobody can look, nobody says that it was not."""
    well = threading.Event()
    is_busy = at("PATCH", busy(int(code), "2"), skip=7)

    def meddle(asked: meddlers.Asked) -> Act:
        return pass_on(asked) if well.is_set() else is_busy(asked)

    with HttpProxy(world.server.root, meddle) as proxy:
        job = world.job(proxy, budget=1)
        outcomes = job.outcomes(job.run("apply", code=4))
        left = {name for name, outcome in outcomes.items() if outcome in {"skipped", "failed"}}
        assert len(outcomes) == 16
        assert outcomes.keys() - left == job.written()
        assert len(left) == 16 - 7
        well.set()
        job.run("apply")
        assert len(job.written()) == 16
        assert job.run("plan", "--fail-on-changes")["changes"] == []


ANSWERED_AMISS = [cut_after, cut_within, *(failing(code, acts=True) for code in (500, 502, 504))]


@pytest.mark.parametrize("meddler", ANSWERED_AMISS, ids=["cut after", "cut within", "500", "502", "504"])
def test_a_write_whose_answer_is_lost_is_found_out_by_reading(world: World, meddler: Meddler) -> None:
    with HttpProxy(world.server.root, at("PATCH", meddler, skip=6, times=1)) as proxy:
        job = world.job(proxy)
        document = job.run("apply")
        assert proxy.count("PATCH") == 16
    assert Counter(job.outcomes(document).values()) == {"written": 16}
    assert len(job.written()) == 16


@pytest.mark.parametrize("meddler", [cut_before, failing(502)], ids=["cut", "502"])
def test_a_write_that_may_still_come_is_a_failure_and_the_next_run_settles_it(world: World, meddler: Meddler) -> None:
    with HttpProxy(world.server.root, at("PATCH", meddler, skip=2, times=1)) as proxy:
        job = world.job(proxy)
        document = job.run("apply", code=4)
        outcomes = job.outcomes(document)
        assert Counter(outcomes.values())["failed"] == 1
        assert {name for name, outcome in outcomes.items() if outcome == "written"} == job.written()
        assert proxy.count("PATCH") < 16  # nothing is sent after a batch with a write of which nobody knows
        job.run("apply")
        assert len(job.written()) == 16
        assert job.run("plan", "--fail-on-changes")["changes"] == []


@pytest.mark.parametrize("code", [400, 403, 500])
def test_a_write_that_was_refused_when_a_part_of_it_was_done_is_taken_back_or_its_part_is_named(
    world: World, code: int
) -> None:
    with HttpProxy(world.server.root, at("PATCH", meddlers.half_done(code), skip=13, times=1)) as proxy:
        job = world.job(proxy)
        document = job.run("apply", code=4)
        (failed,) = [each for each in document["outcomes"] if each["outcome"] != "written"]
        assert failed["outcome"] == "failed"
        assert f"refused: {code}" in failed["why"]
        left = world.server.stored(failed["user"]).get(CEC, {})
        if code == 500:
            (part,) = left
            assert f"{CEC}:{part} changed" in failed["why"]
        else:
            assert not left
            assert failed["why"].endswith("its partial change was undone")
        job.run("apply")
        assert len(job.written()) == 16


def test_a_write_that_was_refused_and_cannot_be_looked_after_is_a_failure_that_says_so(world: World) -> None:
    whom: list[str] = []

    def refuse(asked: meddlers.Asked) -> Act:
        whom.append(target(asked))
        return failing(403)(asked)

    def look(asked: meddlers.Asked) -> Act:
        return failing(403)(asked) if target(asked) in whom else pass_on(asked)

    meddler = at("PATCH", refuse, skip=13, times=1)
    with HttpProxy(world.server.root, lambda asked: (look if asked.method == "GET" else meddler)(asked)) as proxy:
        job = world.job(proxy)
        document = job.run("apply", code=4)
    (why,) = [each["why"] for each in document["outcomes"] if each["outcome"] == "failed"]
    assert "refused: 403" in why
    assert "perhaps written in part" in why


@pytest.mark.parametrize("depth", [5_000, 200_000])
def test_an_answer_that_is_nested_without_end_is_one_line_and_no_fault_of_this_program(
    world: World, depth: int
) -> None:
    with HttpProxy(world.server.root, at("GET", meddlers.nested(depth))) as proxy:
        ended = world.job(proxy, read="scan").try_("apply")
    assert ended.code in {1, 4}, ended.said  # an unknown member of a list is skipped, if that is possible
    assert ("nested too deeply" in ended.said, "fault of the program" in ended.said) == (True, False)
    assert world.untouched()
    answered = at("PATCH", meddlers.nested(depth), skip=6)
    with HttpProxy(world.server.root, answered) as proxy:
        job = world.job(proxy)
        assert Counter(job.outcomes(job.run("apply")).values()) == {"written": 16}
    refused = at("PATCH", lambda asked: said(403, b'{"a":' * depth), skip=12, times=1)
    with HttpProxy(world.server.root, refused) as proxy:
        job = world.job(proxy)
        (why,) = [each["why"] for each in job.run("apply", code=4)["outcomes"] if each["outcome"] == "failed"]
    assert "refused: 403" in why


def test_a_write_after_which_nothing_can_be_read_is_written_as_the_server_said(world: World) -> None:
    whom: list[str] = []

    def write(asked: meddlers.Asked) -> Act:
        whom.append(target(asked))
        return meddlers.nested(5_000)(asked)

    def look(asked: meddlers.Asked) -> Act:
        return meddlers.nested(5_000)(asked) if target(asked) in whom else pass_on(asked)

    meddler = at("PATCH", write, skip=13, times=1)
    with HttpProxy(world.server.root, lambda asked: (look if asked.method == "GET" else meddler)(asked)) as proxy:
        job = world.job(proxy)
        outcomes = job.run("apply")["outcomes"]
        assert [each["outcome"] for each in outcomes] == ["written"] * 16
        unread = [each["why"] for each in outcomes if "why" in each]
        assert 1 <= len(unread) == sum("not read back" in why and "nested too deeply" in why for why in unread), unread
        assert len(job.written()) == 16
        whom.clear()
        job.run("apply")
        assert job.run("plan", "--fail-on-changes")["changes"] == []


@pytest.mark.parametrize("code", [404, 410])
def test_a_user_that_goes_just_before_its_write_is_a_conflict(world: World, code: int) -> None:
    with HttpProxy(world.server.root, at("PATCH", failing(code), skip=13, times=1)) as proxy:
        job = world.job(proxy)
        document = job.run("apply", code=4)
    (lost,) = [each for each in document["outcomes"] if each["outcome"] != "written"]
    assert (lost["outcome"], lost["why"]) == ("conflict", "the user is gone")
    assert len(job.written()) == 15


def test_a_page_that_trickles_in_without_an_end_is_no_plan(tmp_path: Path) -> None:
    with (
        ScimServer.start(tmp_path / "server", people(8)) as real,
        HttpProxy(real.root, at("GET", lambda asked: trickle)) as proxy,
    ):
        ended = ScimJob(tmp_path / "job", real, agents=8, url=proxy.url, timeout=1).try_("apply")
        assert real.writes() == []
    assert ended.code == 1
    assert "10 times directory.timeout" in ended.said


@pytest.mark.parametrize("slowly", [trickle, trickle_head])
def test_a_write_whose_answer_trickles_in_without_an_end_is_found_out_by_reading(tmp_path: Path, slowly: Act) -> None:
    def trickling(asked: meddlers.Asked) -> Act:
        asked.forward()
        return slowly

    with (
        ScimServer.start(tmp_path / "server", people(16)) as real,
        HttpProxy(real.root, at("PATCH", trickling, skip=13, times=1)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", real, agents=16, url=proxy.url, timeout=1)
        assert Counter(job.outcomes(job.run("apply")).values()) == {"written": 16}
        assert proxy.count("PATCH") == 16
        assert len(job.written()) == 16


@pytest.mark.parametrize(("meddler", "said"), [
    (meddlers.dropped, "show"),
    (meddlers.under_another_key("sipAccount", f"{ENTERPRISE}:employeeNumber"), "sipAccount"),
    (meddlers.wiping("name.familyName", ""), "name.familyname"),
    (meddlers.wiping(f"{CEC}:sipServiceIp"), "sipserviceip"),
], ids=["dropped", "another key", "wiped", "wiped beside it"])  # fmt: skip
@pytest.mark.parametrize("skip", [3, 13], ids=["among the first", "later"])
def test_a_write_that_a_server_lies_about_is_a_failure_that_says_so(
    world: World, meddler: Meddler, said: str, skip: int
) -> None:
    held = {"schemas": [CORE, CEC], CEC: {"sipServiceIp": "192.0.2.10"}}  # as the tenant has it: nothing is to change
    with HttpProxy(world.server.root, at("PATCH", meddler, skip=skip, times=1)) as proxy:
        job = world.job(proxy)
        world.server.restore([user | held for user in world.before])
        document = job.run("apply", code=4)
    failed = [each for each in document["outcomes"] if each["outcome"] == "failed"]
    assert len(failed) == 1
    assert said in failed[0]["why"].replace(":", " ").replace(",", " ").split()


# ---------------------------------------------------------------- versions


def target(asked: meddlers.Asked) -> str:
    """Whom a request is about, by id."""
    return asked.path.partition("?")[0].rpartition("/")[2]


@pytest.mark.parametrize(("path", "becomes"), [("title", "written"), (f"{CEC}:sipAccount", "conflict")])
def test_a_user_is_written_to_only_while_it_is_as_it_was_read(tmp_path: Path, path: str, becomes: str) -> None:
    """Somebody else writes between reading and writing."""

    def race(asked: meddlers.Asked) -> Any:
        real.patch(target(asked), {"op": "replace", "path": path, "value": "theirs"})
        return pass_on(asked)

    with (
        ScimServer.start(tmp_path / "server", people(20)) as real,
        HttpProxy(real.root, at("PATCH", race, skip=12, times=1)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", real, agents=20, url=proxy.url)
        ended = job.run("apply", code=0 if becomes == "written" else 4)
        outcomes = Counter(job.outcomes(ended).values())
        differs = [each["differs"] for each in ended["outcomes"] if each["outcome"] == "conflict"]
        assert differs == ([] if becomes == "written" else [[{"name": path}]])
        assert proxy.count("PATCH") == 20 + (becomes == "written")
        assert [user.get("title") or user[CEC]["sipAccount"] for user in real.all()].count("theirs") == 1
    assert outcomes == Counter(["written"] * 19 + [becomes])


def test_a_write_costs_three_requests(tmp_path: Path) -> None:
    """Beside them, the plan reads all users, and a sample of each step is read back."""
    with ScimServer.start(tmp_path / "server", people(60)) as server:
        job = ScimJob(tmp_path / "job", server, agents=60)
        job.configure(directory={"show": []})  # a name for a report is one request more
        server.forget()
        job.run("apply")
        asked = Counter(each.method for each in server.log())
        assert len(job.written()) == 60
    assert asked["PATCH"] == 60
    assert 120 <= asked["GET"] < 160


def test_versions_that_a_server_gives_and_does_not_heed_are_not_relied_upon(tmp_path: Path) -> None:
    def ignoring(asked: meddlers.Asked) -> Any:
        return pass_on(asked.without_header("if-match"))

    with (
        ScimServer.start(tmp_path / "server", people(20)) as server,
        HttpProxy(server.root, at("PATCH", ignoring)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", server, agents=20, url=proxy.url)
        job.run("apply")
        assert len(job.written()) == 20
        assert proxy.count("PATCH") == 20
        methods = [seen.method for seen in proxy.seen if "/Users/" in seen.path]
        assert methods.count("GET") >= 40  # each is read before and after its write


def test_where_a_server_refuses_the_versions_that_it_gives_nobody_is_written_without_one(tmp_path: Path) -> None:
    def refusing(asked: meddlers.Asked) -> Any:
        return said(412, {}) if "if-match" in asked.headers else pass_on(asked)

    with (
        ScimServer.start(tmp_path / "server", people(20)) as server,
        HttpProxy(server.root, at("PATCH", refusing)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", server, agents=20, url=proxy.url)
        job.configure(directory={"settle_time": 0})
        job.run("apply", code=4)
        assert job.written() == set()


def test_an_answer_with_the_user_in_it_is_done_without_where_a_server_refuses_to_give_it(tmp_path: Path) -> None:
    def refusing(asked: meddlers.Asked) -> Any:
        return said(400, {"scimType": "invalidValue"}) if "?" in asked.path else pass_on(asked)

    with (
        ScimServer.start(tmp_path / "server", people(20)) as server,
        HttpProxy(server.root, at("PATCH", refusing)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", server, agents=20, url=proxy.url)
        job.run("apply")
        assert len(job.written()) == 20
        assert sum(seen.method == "PATCH" and "?" in seen.path for seen in proxy.seen) <= 6


@pytest.mark.parametrize("writes", ["patch", "put"])
@pytest.mark.parametrize("titled", [slice(None), slice(19, None)], ids=["everybody", "the last"])
def test_what_lists_leave_out_of_a_user_is_neither_taken_away_nor_taken_for_a_change(
    tmp_path: Path, writes: str, titled: slice
) -> None:
    users = people(20)
    for each in users[titled]:
        each["title"] = "Sample"
    with (
        ScimServer.start(tmp_path / "server", users) as real,
        HttpProxy(real.root, at("GET", meddlers.sparse("title"))) as proxy,
    ):
        job = ScimJob(tmp_path / "job", real, agents=20, url=proxy.url, dialect="dialect.json")
        (job.folder / "dialect.json").write_text(json.dumps({"writes": writes, "versions": True}))
        assert Counter(job.outcomes(job.run("apply")).values()) == {"written": 20}
        assert len(job.written()) == 20
        assert [user.get("title") for user in real.all()] == [user.get("title") for user in users]
        assert job.run("plan", "--fail-on-changes")["changes"] == []


def test_whoever_was_changed_while_the_server_was_busy_is_a_conflict(tmp_path: Path) -> None:
    """Without versions, a write that had to wait is held to what its user has become."""

    def busy_and_raced(asked: meddlers.Asked) -> Any:
        real.patch(target(asked), {"op": "replace", "path": f"{CEC}:sipAccount", "value": "theirs"})
        return busy(429, "1")(asked)

    with (
        ScimServer.start(tmp_path / "server", people(12), kind="django-scim2") as real,
        HttpProxy(real.root, at("PATCH", busy_and_raced, skip=7, times=1)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", real, agents=12, url=proxy.url)
        outcomes = job.outcomes(job.run("apply", code=4))
        assert Counter(outcomes.values()) == {"written": 11, "conflict": 1}
        assert [user[CEC]["sipAccount"] for user in real.all()].count("theirs") == 1


def test_a_user_that_is_replaced_whole_keeps_what_somebody_else_wrote_while_the_server_was_busy(tmp_path: Path) -> None:
    """Without PATCH and without versions, what is sent after a pause is what the user has become by then."""

    def busy_and_raced(asked: meddlers.Asked) -> Any:
        real.ask("PUT", f"/Users/{target(asked)}", real.get(target(asked)) | {"title": "theirs"}).raise_for_status()
        return busy(429, "1")(asked)

    with (
        ScimServer.start(tmp_path / "server", people(8), features={"patch": {"supported": False}}) as real,
        HttpProxy(real.root, at("PUT", busy_and_raced, skip=3, times=1)) as proxy,
    ):
        job = ScimJob(tmp_path / "job", real, agents=8, url=proxy.url, dialect="dialect.json")
        (job.folder / "dialect.json").write_text('{"writes": "put"}')
        job.run("apply")
        assert len(job.written()) == 8
        assert [user.get("title") for user in real.all()].count("theirs") == 1


def test_a_refusal_that_quotes_the_password_is_shown_without_it(world: World) -> None:
    with HttpProxy(world.server.root, at("PATCH", failing(400))) as proxy:
        ended = world.job(proxy).try_("apply")  # which holds what is said to the canary
    assert ended.code == 4
    assert "refused: 400 Bad Request" in ended.said


def token(name: str) -> Act:
    return said(200, {"access_token": name, "token_type": "Bearer", "expires_in": 3600})


def by_tokens(job: ScimJob, login: HttpServer) -> None:
    oauth = {"token_url": f"{login.url}/token", "client_id": "connector", "client_secret": env("SCIM_TOKEN")}
    job.configure(directory={"token": None, "oauth": oauth, "show": []})  # names log in by themselves


def test_an_access_token_that_runs_out_within_a_run_is_renewed(world: World) -> None:
    """The proxy takes each of two tokens for so many requests, and puts the server's in its place."""
    left = Counter({"Bearer first": 12, "Bearer second": 10_000})

    def let_in(asked: meddlers.Asked) -> Any:
        shown = asked.headers.get("authorization", "")
        if not left[shown]:
            return said(401, {"detail": shown})
        left[shown] -= 1
        return meddlers.pass_on(asked.with_header("authorization", f"Bearer {world.server.token}"))

    login = HttpServer([token("first"), token("second")])
    with login, HttpProxy(world.server.root, let_in) as proxy:
        job = world.job(proxy)
        by_tokens(job, login)
        job.run("apply")
    assert len(job.written()) == 16
    assert len(login.seen) == 2


@pytest.mark.parametrize("answer", [said(200, b" " * 70_000), said(200, b"<html>sign in"), said(404, b"")])
def test_where_no_token_is_to_be_had_any_more_nothing_is_sent(world: World, answer: Act) -> None:
    """The first token is good until something was written."""
    wrote: list[str] = []

    def let_in(asked: meddlers.Asked) -> Any:
        if wrote:
            return said(401)
        if asked.method != "GET":
            wrote.append(asked.method)
        return meddlers.pass_on(asked.with_header("authorization", f"Bearer {world.server.token}"))

    login = HttpServer([token("first"), *[answer] * 50])
    with login, HttpProxy(world.server.root, let_in) as proxy:
        job = world.job(proxy)
        by_tokens(job, login)
        report = job.run("apply", code=4)
    became = Counter(each["outcome"] for each in report["outcomes"])
    assert became["failed"] == 0
    assert became["skipped"] > 0
    assert wrote
