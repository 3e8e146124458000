"""Names of people are hints: a directory that cannot tell them leaves the plan as it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import example, given, strategies as st
from msgspec.structs import replace

from connector.apply import lookup
from connector.directories.port import Reader
from connector.errors import ConnectorError, FileError, IncompleteRead
from connector.model import (
    ID,
    NAME,
    UNIDENTIFIED,
    Description,
    Equality,
    Key,
    Memory,
    Plan,
    User,
    UserNaming,
    UserRef,
    View,
    equality,
)
from connector.model.dn import split_rdns
from connector.model.mapping import Mapping
from connector.observers.observer import Observer
from connector.planning.brief import NAMES_SECONDS, PlanBrief, ShownNames
from connector.planning.person_names import add_people, find_people
from tests.support.asked import answering
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.report_samples import sample
from tests.support.worlds import NO_LIMITS

BRIEF = PlanBrief(
    mapping=Mapping((), ()), limits=NO_LIMITS, description=Description("LDIF file", "file:people", {}),
    memory=cast("Memory", None), fingerprint=lambda *_: "", job="job", plan_id="id", now=datetime.now(UTC),
    show=ShownNames(("cn",), asked=True),
)  # fmt: skip
UNASKED = replace(BRIEF, show=ShownNames(("cn",)))
ANN, BOB = UserRef("1", "uid=ann,dc=example"), UserRef("2", "uid=bob,dc=example")


def failing(brief: PlanBrief, fault: ConnectorError) -> Plan:
    directory = answering(fault)
    plan = add_people(directory, sample(), brief)
    assert (NAME, "uid=nobdy,ou=people,dc=example,dc=org") in directory.asked[0].given[0]
    assert not plan.notes.people
    assert plan.digest == sample().digest
    return plan


def asked_for(
    brief: PlanBrief, users: list[UserRef], names: list[str], known: list[UserRef]
) -> tuple[list[Key], float | None]:
    directory = answering([])
    find_people(directory, users, names, brief, known)
    keys, seconds = directory.asked[0].given
    return keys, seconds


def test_names_that_cannot_be_read_are_said_to_be_missing_where_the_job_asks_for_them() -> None:
    plan = failing(BRIEF, IncompleteRead("the server is busy"))
    assert plan.about[-1] == ("names", "not shown: the server is busy")


@pytest.mark.parametrize("fault", [IncompleteRead("the server is busy"), FileError("the certificate is gone")])
def test_nothing_is_said_of_names_that_nobody_asked_for(fault: ConnectorError) -> None:
    assert failing(UNASKED, fault) == sample()


def test_those_that_came_before_a_fault_are_shown() -> None:
    def users() -> Iterator[User]:
        yield User(ANN.id, ANN.name, {"cn": ("Ann Bell",)})
        raise IncompleteRead("the server is gone")

    assert find_people(answering(users()), [ANN, BOB], [], UNASKED) == ({ANN.name: "Ann Bell"}, "the server is gone")


WORDS = st.text("aA 7é\u00ad", min_size=1, max_size=4) | st.sampled_from(["Ann Bell", "ann  bell", "ANN BELL", "Anna"])


@given(said=WORDS, first=WORDS, second=WORDS)
@example(said="#610a", first="#610A", second="x")
@example(said="Ann", first=r"\41nn", second="x")
@example(said="Ann\u00ad", first="ann", second="x")
@example(said="Ann", first="A\u00adnn", second="x")
def test_a_name_that_the_dn_begins_with_is_not_told_however_it_is_spelt(said: str, first: str, second: str) -> None:
    user = UserRef("1", f"cn={first}+uid={second},ou=Ann Bell,dc=example")
    found = find_people(answering([User(user.id, user.name, {"cn": (said,)})]), [user], [], BRIEF)
    begins = {value for _, value in next(iter(split_rdns(user.name)))}
    told = {} if equality.likeness_key(Equality.CASE_IGNORE, said) in begins else {user.name: said}
    assert found == (told, "")


def test_users_are_read_by_id_as_far_as_it_is_known_and_shown() -> None:
    hidden = UserRef(f"{UNIDENTIFIED}uid=cid,dc=example", "uid=cid,dc=example")
    keys, seconds = asked_for(
        UNASKED, [ANN, hidden], [ANN.name, BOB.name, "uid=dan,dc=example"], [BOB, UserRef("4", "uid=eve")]
    )
    assert keys == [(ID, "1"), (ID, "2"), (NAME, "uid=dan,dc=example")]
    assert seconds == NAMES_SECONDS


def test_who_is_known_by_a_user_name_alone_is_searched_for_only_where_the_job_asks() -> None:
    names = Description("SCIM 2.0 server", "scim:", {}, naming=UserNaming(names=Equality.CASE_ALONE))
    assert asked_for(replace(UNASKED, description=names), [ANN], ["dan"], [])[0] == [(ID, "1")]
    assert asked_for(replace(BRIEF, description=names), [ANN], ["dan"], []) == ([(ID, "1"), (NAME, "dan")], None)


def test_without_attributes_or_users_nothing_is_asked() -> None:
    directory = answering()
    assert find_people(directory, [ANN], [], replace(BRIEF, show=ShownNames())) == ({}, "")
    assert find_people(directory, [], [], BRIEF) == ({}, "")
    assert directory.asked == []


def test_names_that_nobody_asked_for_are_read_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(lookup, "monotonic", lambda: now)

    class Slow:
        def find(self, keys: Iterator[tuple[str, str]]) -> Iterator[User]:
            nonlocal now
            for _, id_ in keys:
                now += 2
                yield User(id_, id_, {})

    slow, nobody = cast("Reader", Slow()), cast("Observer", None)
    empty = MemoryDirectory(MemoryStore({}), View(()))
    asking = lookup.DirectoryLookup(empty, "auto", nobody, names=lambda: slow)
    keys = [(ID, str(number)) for number in range(10)]
    assert len(list(asking.find_named(keys, NAMES_SECONDS))) == 3
    assert len(list(asking.find_named(keys, None))) == 10
    assert list(lookup.DirectoryLookup(empty, "auto", nobody).find_named(keys, 1)) == []
