"""The whole job on 389 Directory Server: rights, limits and account states as its administrators set them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest

from connector.demo.simulator import Simulator
from tests.support.ds389 import UNLIMITED, Ds389
from tests.support.ldap_proxy import LdapProxy
from tests.support.recommended import PAGE_OF_389DS, on_389ds
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.ds389


@contextmanager
def started(folder: Path, count: int = 5, **options: object) -> Iterator[World]:
    """So many agents, each with a user of the server's."""
    (folder / "job").mkdir()
    people = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in range(1, count + 1)]
    agents = tenant([agent(number) for number in range(1, count + 1)])
    with (
        Ds389.start(folder / "server", people, **options) as server,  # type: ignore[arg-type]  # passed on
        Simulator(agents, ssl_context=server_context()) as cec,
    ):
        yield World(folder / "job", server, cec, "389ds")


def grant(world: World, entry: str, *rights: str) -> None:
    world.server.modify(f"dn: {entry}\nchangetype: modify\nadd: aci\n" + "".join(f"{right}\n" for right in rights))


def test_the_rights_and_limits_that_the_readme_tells_to_give_are_enough(tmp_path: Path) -> None:
    limits = dict(re.findall(r"^    (ns\w+Limit): (.*)$", PAGE_OF_389DS, re.MULTILINE))
    assert limits == UNLIMITED
    with started(tmp_path, rights=()) as world:
        *on_people, on_suffix = on_389ds()
        assert world.plan()["summary"]["matched"] == 0
        grant(world, PEOPLE, *on_people)
        grant(world, SUFFIX, on_suffix)
        planned = world.plan()
        assert planned["summary"]["matched"] == 5
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []
        entry = world.server.search("(uid=agent003)", "*").decode()
        assert "SIPIdentityPassword" in entry
        world.cec.document = tenant([agent(number, sipPwd=f"canary-other-{number}") for number in range(1, 6)])
        assert len(world.plan()["changes"]) == 5, "a password that may be compared is not known to have changed"


COMPARED = (
    f'(targetattr!="SIPIdentityPassword")(version 3.0; acl "c"; allow (all) userdn="ldap:///{SYNC}";)',
    f'(targetattr="SIPIdentityPassword")(version 3.0; acl "p"; allow (write, compare) userdn="ldap:///{SYNC}";)',
)
UNSEEN = (COMPARED[0], COMPARED[1].replace("write, compare", "write"))
HIDDEN = (
    f'(targetattr!="cecWorkNo")(version 3.0; acl "c"; allow (all) userdn="ldap:///{SYNC}";)',
    f'(targetattr="cecWorkNo")(version 3.0; acl "w"; allow (write, compare) userdn="ldap:///{SYNC}";)',
)


@pytest.mark.parametrize("rights", [COMPARED, UNSEEN], ids=["compared", "fingerprinted"])
def test_secrets_that_may_not_be_read_converge_and_their_drift_is_found(
    tmp_path: Path, rights: tuple[str, ...]
) -> None:
    with started(tmp_path, rights=rights) as world:
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []
        others = [agent(n, sipPwd="canary-new" if n == 2 else f"canary-{n}") for n in range(1, 6)]
        world.cec.document = tenant(others)
        (change,) = world.plan()["changes"]
        assert change["user"]["name"] == f"uid=agent002,{PEOPLE}"
        assert [(each["name"], each["secret"]) for each in change["attributes"]] == [("SIPIdentityPassword", "set")]
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []


def test_an_attribute_that_may_not_be_read_is_unknown_and_named_once(tmp_path: Path) -> None:
    with started(tmp_path, rights=HIDDEN) as world:
        for n in range(1, 6):
            world.server.modify(
                f"dn: uid=agent{n:03},{PEOPLE}\nchangetype: modify\nadd: objectClass\nobjectClass: cecAgent\n"
                f"-\nadd: cecWorkNo\ncecWorkNo: {n}\n"
            )
        planned = world.plan()
        unreadable = [problem["attribute"] for problem in planned["problems"] if problem["kind"] == "unreadable"]
        assert unreadable == ["cecWorkNo"]
        assert all(each["name"] != "cecWorkNo" for change in planned["changes"] for each in change["attributes"])
        world.run("apply")
        assert world.plan()["changes"] == []
        assert b"cecWorkNo: 3" in world.server.search("(uid=agent003)")


def test_a_match_attribute_that_becomes_hidden_clears_nobody(tmp_path: Path) -> None:
    with started(tmp_path) as world:
        (world.folder / "stale.yaml").write_text(
            'match: [{agent: "{accountCode}@example.org", directory: mail}]\n'
            'attributes: {cecAccountCode: "{accountCode}"}\nobject_classes: [cecAgent]\nstale: clear\n'
        )
        world.job(mapping="stale.yaml", limits={"clear": 100, "matched_drop": "100%"})
        world.run("apply")
        deny = f'aci: (targetattr="mail")(version 3.0; acl "no"; deny (all) userdn="ldap:///{SYNC}";)'
        grant(world, SUFFIX, deny)
        before = world.everything()
        planned = world.plan()
        assert planned["summary"]["matched"] == 0
        assert planned["changes"] == []
        world.run("apply")
        assert world.everything() == before


def set_password(world: World) -> None:
    world.server.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: userPassword\nuserPassword: {SYNC_PASSWORD}\n")


def told(world: World) -> str:
    """What an apply that may not even begin says; it leaves everything as it is."""
    before = world.everything()
    said = world.run("apply", code=1).err
    assert world.everything() == before
    assert "unexpected" not in said
    return said


def test_the_state_of_the_account_is_told_exactly(tmp_path: Path) -> None:
    """389-DS lets a bind go well after which everything is refused without a word, and tells a lock as a constraint."""
    with started(tmp_path, 2) as world:
        server = world.server
        assert isinstance(server, Ds389)
        server.configure("cn=config", passwordMustChange="on")
        set_password(world)
        assert "the server requires a new password" in told(world)
        ten_days = str(10 * 86_400)
        server.configure("cn=config", passwordMustChange="off", passwordMaxAge=ten_days, passwordWarning=ten_days)
        server.configure("cn=config", passwordExp="on")
        set_password(world)
        assert re.search(f"the password of {SYNC} expires in (9|10) days", world.run("check").out)
        server.configure("cn=config", passwordWarning="0")
        server.configure("cn=config", passwordMaxAge="1")
        set_password(world)
        sleep(2)  # its age is counted in seconds
        assert "the password has expired: set a new one" in told(world)
        server.configure("cn=config", passwordGraceLimit="2")
        assert f"the password of {SYNC} has expired: the server lets it in 1 times more" in world.run("check").out
        server.configure("cn=config", passwordExp="off", passwordLockout="on", passwordMaxFailure="1")
        set_password(world)
        assert "invalidCredentials" in world.try_("check", LDAP_PASSWORD="wrong").err
        assert "the account is locked" in told(world)
        server.configure("cn=config", passwordLockout="off")
        server.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: nsAccountLock\nnsAccountLock: true\n")
        assert "Account inactivated" in told(world)
        server.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: nsAccountLock\n")
        world.run("apply")
        assert world.plan()["changes"] == []


def limit(world: World, **limits: str) -> None:
    """Operational attributes of the account, which override the server's own limits."""
    edits = "".join(f"replace: {name}\n{name}: {value}\n-\n" for name, value in limits.items())
    world.server.modify(f"dn: {SYNC}\nchangetype: modify\n{edits}")


def test_limits_are_incomplete_reads_and_each_names_what_lifts_it(tmp_path: Path) -> None:
    with started(tmp_path, 30) as world:
        limit(world, nsSizeLimit="8")
        world.job(directory={"read": "scan", "page_size": 8})
        said = told(world)
        assert "sizeLimitExceeded (4)" in said
        assert "set `page_size` below the nsSizeLimit" in said
        world.job(directory={"read": "scan", "page_size": 7})
        assert world.plan()["summary"]["matched"] == 30
        limit(world, nsSizeLimit="-1", nsLookThroughLimit="10")
        said = told(world)
        assert "adminLimitExceeded (11)" in said
        assert "nsLookThroughLimit" in said
        (world.folder / "slow.yaml").write_text(
            'match: [{agent: "{accountCode}", directory: roomNumber}]\n'
            'attributes: {cecAccountCode: "{accountCode}"}\nobject_classes: [cecAgent]\n'
        )
        world.job(directory={"read": "find"}, mapping="slow.yaml")
        said = told(world)
        assert "for objectClass, roomNumber short: adminLimitExceeded (11)" in said
        assert "equality index" in said
        limit(world, nsLookThroughLimit="-1")
        assert world.plan()["summary"]["unmatched"] == 30


@pytest.mark.parametrize(("allowed", "page", "asked"), [(500, 1000, 499), (500, 500, 499), (9, 1000, 8)])
def test_a_page_that_the_size_limit_cuts_short_is_made_smaller_and_that_is_said(
    tmp_path: Path, allowed: int, page: int, asked: int
) -> None:
    with started(tmp_path, 520) as world:
        limit(world, nsSizeLimit=str(allowed))
        world.job(directory={"read": "scan", "page_size": page})
        checked = world.run("check")
        assert "520 users within base and filter (" in checked.out
        note = f"the server's size limit is below `page_size`: pages of {asked} entries were asked for instead"
        assert checked.out.count(note) == 1
        events = [json.loads(line) for line in checked.err.splitlines() if line.startswith("{")]
        smaller, *_ = [event for event in events if event["event"] == "page made smaller"]  # a check reads twice
        assert (smaller["level"], smaller["page_size"], smaller["entries"]) == ("warning", page, asked)
        assert world.plan()["summary"]["matched"] == 520


def test_a_part_of_the_tree_that_is_elsewhere_is_an_incomplete_read(tmp_path: Path) -> None:
    with started(tmp_path, 3) as world:
        world.server.add(
            f"dn: ou=branch,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\n"
            "ref: ldap://branch.example.org/ou=branch,dc=example,dc=org\n"
        )
        for read in ("scan", "find"):
            world.job(directory={"read": read})
            said = told(world)
            assert "is on another server: referral to ldap://branch.example.org/" in said


def test_a_server_that_is_killed_in_an_apply_is_told_and_the_next_run_finishes(tmp_path: Path) -> None:
    """Killed while changes are in flight: what was answered stands, what was not is found out, nothing twice."""
    answered: list[str] = []

    def acted(name: str) -> None:
        answered.append(name)
        if len(answered) == 50:
            world.server.kill()
            raise ConnectionResetError

    with started(tmp_path, 200) as world, LdapProxy(world.server.port, acted=acted) as proxy:
        world.job(directory={"urls": [proxy.url], "allow_plaintext": True}, ramp=[])
        said = world.run("apply", "--report", "cut.json", code=4).said
        assert "unexpected" not in said
        world.server.restart()
        written = world.server.search("(cecWorkNo=*)", "dn").count(b"dn: ")
        assert 50 <= written < 200
        outcomes = json.loads((world.folder / "cut.json").read_text())["outcomes"]
        assert len([outcome for outcome in outcomes if outcome["outcome"] == "written"]) <= written
        world.job()
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []
