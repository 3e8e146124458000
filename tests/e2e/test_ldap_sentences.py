"""What a server lacks or refuses is said in a sentence of its own, with the server's words and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.directories.ldap import ber, requests
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.responses import DONE
from connector.model import View
from connector.settings.ldap import LdapDirectory
from tests.support import ldap_line
from tests.support.jobs import configure
from tests.support.ldap_answers import entry, page_end, result
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import LdapProxy
from tests.support.scripted_ldap import ScriptedLdap
from tests.support.slapd import PEOPLE, Slapd, person

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""
UIDS = [f"user{number:02}" for number in range(12)]


def job_of(folder: Path, url: str) -> LdapJob:
    return LdapJob(folder, url, *UIDS, mapping=MAPPING)


def in_one_line(said: str) -> str:
    return " ".join(said.split())


@pytest.mark.slapd
@pytest.mark.slow
def test_without_a_root_dse_nothing_is_assumed_of_the_server_and_users_are_written(tmp_path: Path) -> None:
    hidden = 'access to dn.base="" by * none\naccess to * by * read'
    with Slapd.start(tmp_path / "s", map(person, UIDS), rules=hidden) as server:
        job = job_of(tmp_path / "job", server.url)
        _, report = job.run("plan")
        (caution,) = [each for each in report["cautions"] if "root DSE" in each]
        assert caution.startswith(
            "the server shows no root DSE (this account may not read the entry ''): no control is used"
        )
        assert {each["outcome"] for each in job.apply().values()} == {"written"}
        assert held(server, "user07", "employeeNumber") == ["1007"]
        assert job.problems() == []


@pytest.mark.slapd
@pytest.mark.slow
def test_a_referral_is_told_apart_from_a_limit(tmp_path: Path) -> None:
    elsewhere = (
        f"dn: ou=elsewhere,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
        "ou: elsewhere\nref: ldap://192.0.2.7/ou=elsewhere,dc=example,dc=org\n"
    )
    with Slapd.start(tmp_path / "s", [*map(person, UIDS), elsewhere]) as server:
        ended, _ = job_of(tmp_path / "job", server.url).run("plan")
    assert ended.code == 1
    assert "is on another server: referral to ldap://192.0.2.7/" in in_one_line(ended.err)
    assert "In `urls`, list the server that holds all of `base`" in in_one_line(ended.err)
    assert "Raise the limit" not in ended.err


@pytest.mark.slapd
@pytest.mark.slow
@pytest.mark.parametrize("read", ["find", "scan"])
def test_a_filter_that_nobody_matches_is_said(tmp_path: Path, read: str) -> None:
    with Slapd.start(tmp_path / "s", map(person, UIDS)) as server:
        job = job_of(tmp_path / "job", server.url)
        configure(job.folder / "job.yaml", directory={"filter": "(objectClass=posixAccount)", "read": read})
        for command, *more in (("plan", "--all"), ("apply",)):
            ended, report = job.run(command, *more)
            assert ended.code == 0, ended.said
            said = f"0 of 13 entries in {PEOPLE} match `filter` (objectClass=posixAccount). Check the filter"
            assert said in report["about"]["noticed"]
            assert (said if more else "Nobody matches: 0 users") in in_one_line(ended.out)
        configure(job.folder / "job.yaml", directory={"filter": "(uid=user0*)"})
        (job.folder / "agents.json").write_text('{"agents": [{"workNo": 1, "accountCode": "nobody"}]}')
        _, report = job.run("plan")
        assert "noticed" not in report["about"], "somebody is within the filter, though no agent's user"


@pytest.mark.slapd
def test_where_a_size_limit_ends_the_count_of_users_it_is_no_number_of_them(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", map(person, UIDS), limits="size.soft=5 size.hard=5") as server:
        job = job_of(tmp_path / "job", server.url)
        configure(job.folder / "job.yaml", directory={"filter": "(objectClass=posixAccount)"})
        assert "0 of 5 or more entries in" in job.run("plan")[1]["about"]["noticed"]


def test_a_control_that_is_listed_and_refused_is_said(tmp_path: Path) -> None:
    with ScriptedLdap(lambda frame: result(frame.id, DONE, 12)) as server:
        ended, _ = job_of(tmp_path / "job", server.url).run("plan")
    assert ended.code == 1
    said = in_one_line(ended.err)
    assert "unavailableCriticalExtension (12)" in said
    assert "the server lists a control and refuses it here" in said


@pytest.mark.slow
def test_a_pager_that_begins_anew_for_ever_is_said(tmp_path: Path) -> None:
    def answer(frame: Frame) -> bytes:
        return entry(frame.id, f"uid=user01,{PEOPLE}") + page_end(frame.id, b"%d" % frame.id)

    with ScriptedLdap(answer, requests.PAGED) as server:
        job = job_of(tmp_path / "job", server.url)
        configure(job.folder / "job.yaml", directory={"read": "scan"})
        ended, _ = job.run("plan")
    assert ended.code == 1
    assert "the server's pager stands still" in in_one_line(ended.err)


def test_a_range_of_values_that_ends_at_no_number_is_said(tmp_path: Path) -> None:
    held = {"entryUUID": ["1"], "uid": ["user01"], f"employeeNumber;range=0-{'9' * 5000}": ["1"]}

    def answer(frame: Frame) -> bytes:
        found = ldap_line.entry(f"uid=user01,{PEOPLE}", held)
        return requests.encode_message(frame.id, found) + result(frame.id, DONE)

    with ScriptedLdap(answer) as server:
        ended, _ = job_of(tmp_path / "job", server.url).run("plan")
    assert ended.code == 1
    assert "a range of values that ends at no number" in in_one_line(ended.err)


def test_a_first_range_without_values_is_followed_by_the_next(tmp_path: Path) -> None:
    names = iter(["employeeNumber;range=0-0", *["employeeNumber;range=1-*"] * 20])

    def answer(frame: Frame) -> bytes:
        name = next(names)
        held = {"entryUUID": ["1"], "uid": ["user01"], name: ["7"] if name.endswith("*") else []}
        found = ldap_line.entry(f"uid=user01,{PEOPLE}", held)
        return requests.encode_message(frame.id, found) + result(frame.id, DONE)

    settings = LdapDirectory.model_validate(
        {"type": "ldap", "urls": ["ldap://x"], "base": PEOPLE, "allow_plaintext": True}
    )
    with ScriptedLdap(answer) as server:
        settings = settings.model_copy(update={"urls": (server.url,)})
        reader = LdapReader(settings, None, View(("uid", "employeeNumber")), unread=True)
        found = list(reader.scan())
        reader.close()
    assert [user.values["employeeNumber"] for user in found] == [("7",)]


def test_what_is_no_ldap_is_said_though_the_first_answer_that_was_none_did_not_matter(tmp_path: Path) -> None:
    with ScriptedLdap(lambda frame: b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        ended, _ = job_of(tmp_path / "job", server.url).run("plan")
    assert ended.code == 1
    assert "the answer is no LDAP message" in in_one_line(ended.err)


class Parrot(LdapProxy):
    """A server that refuses a bind in these words."""

    words = ""

    def _heard(self, frame: Frame) -> bytes:
        if frame.tag != _BOUND:
            return super()._heard(frame)
        parts = (
            ber.encode_integer(49, ber.ENUMERATED),
            *(ber.encode_tlv(ber.OCTETS, text.encode()) for text in ("", self.words)),
        )
        return requests.encode_message(frame.id, ber.encode_sequence(parts, _BOUND))


_BOUND = 0x61


@pytest.mark.slapd
@pytest.mark.slow
@pytest.mark.parametrize("words", ["not with SYNC-pass", "no c3luYy1wYXNz", "no sync-pa...", "account is locked"])
def test_a_refused_bind_has_the_servers_words_and_nothing_of_the_password(tmp_path: Path, words: str) -> None:
    with Slapd.start(tmp_path / "s", [person("user01")]) as server, Parrot(server.port) as proxy:
        proxy.words = words
        ended, _ = job_of(tmp_path / "job", proxy.url).run("plan")
    assert ended.code == 1
    assert "invalidCredentials (49)" in ended.err
    assert ("account is locked" in ended.err) == (words == "account is locked")
    said = ended.err.lower().partition("invalidcredentials (49)")[2]
    assert not [part for part in ("sync-p", "-pa", "c3lu") if part in said]


@pytest.mark.slapd
@pytest.mark.slow
def test_a_conflict_has_the_servers_words(tmp_path: Path) -> None:
    """Somebody takes the value away between the last look and the write, on a server without assertions."""
    one = 'access to dn.base="" attrs=supportedControl val.regex="^1[.]3[.]6[.]1[.]1[.]12$" by * none'
    none = f"{one}\naccess to * by * read"
    with Slapd.start(tmp_path / "s", [person(uid, "employeeNumber: 1") for uid in UIDS], rules=none) as server:

        def second(name: str, message: bytes) -> bytes:
            if name.startswith("uid=user03,"):
                server.modify(f"dn: {name}\nchangetype: modify\ndelete: employeeNumber\n")
            return message

        with LdapProxy(server.port, second) as proxy:
            outcomes = job_of(tmp_path / "job", proxy.url).apply(code=4)
    assert outcomes["user03"]["outcome"] == "conflict"
    assert outcomes["user03"]["why"] == (
        "the entry is no longer as planned: a value to be taken out is not there: "
        "modify/delete: employeeNumber: no such attribute"
    )
