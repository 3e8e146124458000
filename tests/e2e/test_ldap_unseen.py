"""What users do not show, on real servers: each user for itself, and for all only where nothing tells.

A user with `employeeNumber;lang-de` holds no employeeNumber of its own. Servers compare and search for that value
all the same, and "no employeeNumber" is not true of such a user.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap.ber import Frame
from tests.support.ds389 import Ds389
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import COMPARE, LdapProxy, octets_of
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD
from tests.support.program import program
from tests.support.slapd import Slapd, person

SEAT = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  roomNumber: {value: "{workNo}", owns: "*"}
"""
FAX = SEAT.replace("roomNumber", "facsimileTelephoneNumber")
URI = SEAT.replace('roomNumber: {value: "{workNo}", owns: "*"}', 'description: {value: "x:{workNo}", owns: "x:*"}')
MANY = [f"user{number:02}" for number in range(30)]

KINDS = [
    pytest.param(Slapd, marks=pytest.mark.slapd, id="OpenLDAP"),
    pytest.param(Ds389, marks=pytest.mark.ds389, id="389-DS"),
]
each_kind = pytest.mark.parametrize("kind", KINDS)


def rights(kind: type[Slapd | Ds389], seat: str, whose: str = "") -> dict[str, Any]:
    """A server's access rules: of employeeNumber our account may do this, and all else. `whose`: of these users."""
    if kind is Ds389:
        words = ", ".join(_WORDS[letter] for letter in seat)
        rule = 'version 3.0; acl "it"; allow'
        return {
            "rights": (
                f'(targetattr!="employeeNumber")({rule} (all) userdn="ldap:///{SYNC}";)',
                f'(targetattr="employeeNumber")({rule} ({words}) userdn="ldap:///{SYNC}";)',
            )
        }
    return {
        "acl": f"""
access to attrs=userPassword by anonymous auth by * none
access to {f"filter={whose} " if whose else ""}attrs=employeeNumber by dn.exact="{SYNC}" ={seat} by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
    }


_WORDS = {"r": "read", "s": "search", "c": "compare", "w": "write"}


def written(job: LdapJob) -> set[str]:
    """Apply; all outcomes are *written*; whose they are."""
    outcomes = job.apply()
    assert {each["outcome"] for each in outcomes.values()} <= {"written"}
    return set(outcomes)


# ---------------------------------------------------------------- values under options


@each_kind
@pytest.mark.parametrize("shown", [True, False], ids=["somebody shows the attribute", "nobody does"])
@pytest.mark.parametrize("mapping", [SEAT, FAX, URI], ids=["seat", "fax", "pattern"])
def test_a_user_with_an_attribute_option_is_written_like_all_others_and_keeps_it(
    tmp_path: Path, kind: type[Slapd | Ds389], mapping: str, *, shown: bool
) -> None:
    options = ("employeeNumber;lang-de: 77", "facsimileTelephoneNumber;lang-de: 78", "description;lang-de: x:79")
    people = [person("anna", *options), *(person(uid) for uid in MANY[:12])]
    people += [person("zoe", "employeeNumber: 1", "roomNumber: 1", "facsimileTelephoneNumber: 1")] if shown else []
    with kind.start(tmp_path / "s", people) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", *MANY[:12], mapping=mapping)
        assert written(job) == {"anna", *MANY[:12]}
        assert job.problems() == []
        assert held(server, "anna", "employeeNumber") == ["1000"]
        assert held(server, "anna", "employeeNumber;lang-de") == ["77"]
        assert held(server, "anna", "facsimileTelephoneNumber;lang-de") == ["78"]
        assert held(server, "anna", "description;lang-de") == ["x:79"]
        (job.folder / "mapping.yaml").write_text(mapping.replace("{workNo}", "{workNo|pad:8}"))
        assert written(job) == {"anna", *MANY[:12]}
        assert job.problems() == []
        assert held(server, "anna", "employeeNumber;lang-de") == ["77"]


@pytest.mark.slapd
def test_a_user_with_an_attribute_option_is_written_without_marks_too(tmp_path: Path) -> None:
    no_marks = f"""
access to attrs=entryCSN by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
    people = [person("anna", "employeeNumber;lang-de: 77"), person("bert", "employeeNumber: 1")]
    with Slapd.start(tmp_path / "s", people, acl=no_marks) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", "bert", mapping=SEAT)
        assert written(job) == {"anna", "bert"}
        assert job.problems() == []


@pytest.mark.slapd
def test_what_somebody_writes_meanwhile_to_a_user_with_an_option_is_a_conflict(tmp_path: Path) -> None:
    people = [person("anna", "employeeNumber;lang-de: 77"), person("bert", "employeeNumber: 1")]
    edits = ["add: sn\nsn: Other", "add: employeeNumber\nemployeeNumber: 5"]
    with Slapd.start(tmp_path / "s", people) as server:

        def second(name: str, message: bytes) -> bytes:
            if name.startswith("uid=anna,"):
                server.modify(f"dn: {name}\nchangetype: modify\n{edits.pop(0)}\n")
            return message

        with LdapProxy(server.port, second) as proxy:
            outcomes = LdapJob(tmp_path / "job", proxy.url, "anna", "bert", mapping=SEAT).apply(code=4)
        assert {uid: each["outcome"] for uid, each in outcomes.items()} == {"anna": "conflict", "bert": "written"}
        assert held(server, "anna", "employeeNumber") == ["5"]
        assert edits == []


# ---------------------------------------------------------------- rights


@each_kind
@pytest.mark.parametrize("seat", ["rsw", "rcw"], ids=["no right to compare", "no right to search"])
def test_one_of_the_rights_to_compare_and_to_search_is_enough(
    tmp_path: Path, kind: type[Slapd | Ds389], seat: str
) -> None:
    with kind.start(tmp_path / "s", [person(uid) for uid in MANY], **rights(kind, seat)) as server:
        job = LdapJob(tmp_path / "job", server.url, *MANY, mapping=SEAT)
        assert written(job) == set(MANY)
        assert held(server, "user07", "employeeNumber") == ["1007"]
        assert job.problems() == []


@each_kind
@pytest.mark.parametrize("before", ["employeeNumber: 1", "sn: nothing"])
def test_where_nothing_tells_it_is_said_once_for_all(tmp_path: Path, kind: type[Slapd | Ds389], before: str) -> None:
    with kind.start(tmp_path / "s", [person(uid, before) for uid in MANY], **rights(kind, "w")) as server:
        job = LdapJob(tmp_path / "job", server.url, *MANY, mapping=SEAT)
        assert written(job) == set(MANY)  # the room
        assert held(server, "user07", "employeeNumber") == (["1"] if "employee" in before else [])
        (problem,) = job.problems()
        assert (problem["kind"], problem["attribute"], problem["users"]) == ("unreadable", "employeeNumber", [])


@each_kind
def test_whoever_has_a_hidden_value_is_held_back_alone(tmp_path: Path, kind: type[Slapd | Ds389]) -> None:
    """Nobody shows one, for nobody may read any; most have none."""
    people = [person(uid, *(["employeeNumber: 5"] if uid in {"user03", "user25"} else [])) for uid in MANY]
    with kind.start(tmp_path / "s", people, **rights(kind, "scw")) as server:
        job = LdapJob(tmp_path / "job", server.url, *MANY, mapping=SEAT)
        _, report = job.run("plan")
        assert [problem["users"] for problem in report["problems"]] == [
            [f"uid={uid},{PEOPLE}"] for uid in ("user03", "user25")
        ]
        assert {problem["why"] for problem in report["problems"]} == {
            "employeeNumber has a value that this account cannot read; skipped"
        }
        seats = [
            each for change in report["changes"] for each in change["attributes"] if each["name"] == "employeeNumber"
        ]
        assert len(seats) == len(MANY) - 2


@pytest.mark.slapd
@pytest.mark.parametrize("seat", ["w", "scw"])
def test_an_access_rule_for_some_users_holds_back_those_alone(tmp_path: Path, seat: str) -> None:
    people = [person(uid, *(["title: head"] if uid in {"user03", "user25"} else [])) for uid in MANY]
    people = [each + "employeeNumber: 5\n" if "title" in each else each for each in people]
    with Slapd.start(tmp_path / "s", people, **rights(Slapd, seat, whose="(title=head)")) as server:
        job = LdapJob(tmp_path / "job", server.url, *MANY, mapping=SEAT)
        written(job)
        problems = job.problems()
        assert held(server, "user03", "employeeNumber") == held(server, "user25", "employeeNumber") == ["5"]
        assert held(server, "user07", "employeeNumber") == ["1007"]
        assert [problem["users"] for problem in problems] == [[f"uid={uid},{PEOPLE}"] for uid in ("user03", "user25")]


# ---------------------------------------------------------------- somebody is gone


@each_kind
def test_whoever_is_deleted_between_search_and_compare_keeps_nobody_from_being_written(
    tmp_path: Path, kind: type[Slapd | Ds389]
) -> None:
    gone: list[str] = []
    with kind.start(tmp_path / "s", [person(uid) for uid in MANY]) as server:

        def heard(request: int) -> None:
            if request == COMPARE and not gone:
                gone.append("user03")
                server.modify(f"dn: uid=user03,{PEOPLE}\nchangetype: delete\n")

        with LdapProxy(server.port, heard=heard) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, *MANY, mapping=SEAT.replace("roomNumber", "#"))
            assert written(job) == set(MANY) - {"user03"}
        assert gone
        assert held(server, "user29", "employeeNumber") == ["1029"]


# ---------------------------------------------------------------- undo

PASSWORD = (
    SEAT
    + """\
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [SIPIdentity]
"""
)


@each_kind
def test_a_password_of_which_comparing_found_none_is_taken_back(tmp_path: Path, kind: type[Slapd | Ds389]) -> None:
    """Bert has one already, which is sealed; both come back to what they had before the first run."""
    people = [person("anna"), person("bert", "SIPIdentityPassword: of-before", classes=["SIPIdentity"])]
    with kind.start(tmp_path / "s", people) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", "bert", mapping=PASSWORD)
        agents = [{"workNo": n, "accountCode": uid, "sipPwd": f"new-{n}"} for n, uid in enumerate(("anna", "bert"), 1)]
        (tmp_path / "job" / "agents.json").write_text(json.dumps({"agents": agents}))
        job.apply()
        assert held(server, "anna", "SIPIdentityPassword") == ["new-1"]
        (run,) = json.loads(program("runs", "job.yaml", "--json", folder=job.folder).out)
        ended = program(
            "undo", "job.yaml", run["id"], "--apply", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD}
        )
        assert ended.code == 0, ended.said
        assert held(server, "anna", "SIPIdentityPassword") == []
        assert held(server, "bert", "SIPIdentityPassword") == ["of-before"]
        assert "stays as it is" not in ended.said


# ---------------------------------------------------------------- servers whose compareFalse tells nothing


class Undiscerning(LdapProxy):
    """As ldaptor: whatever is not there compares as another value, and there is no rule about who may compare."""

    def _heard(self, frame: Frame) -> bytes:
        octets = octets_of(frame)
        if frame.tag != COMPARE + 1:
            return octets
        return re.sub(rb"\x0a\x01[\x10\x11\x32]", b"\x0a\x01\x05", octets, count=1)


@pytest.mark.slapd
def test_where_compare_tells_nothing_nobody_without_a_shown_value_is_written(tmp_path: Path) -> None:
    """What is not there cannot be told from what is hidden: such users are held back, and named."""
    people = [person(uid, "employeeNumber: 7") for uid in MANY[:12]]
    with Slapd.start(tmp_path / "h", people, **rights(Slapd, "cw")) as server, Undiscerning(server.port) as proxy:
        job = LdapJob(tmp_path / "hidden", proxy.url, *MANY[:12], mapping=SEAT)
        assert written(job) == set()
        assert {each["kind"] for each in job.problems()} == {"unreadable"}
        assert held(server, MANY[3], "employeeNumber") == ["7"]
