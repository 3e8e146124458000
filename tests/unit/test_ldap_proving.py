"""Which assertions (RFC 4528) are believed of servers that keep them, pass them over, or are mapped by a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector.directories.common.ldap_filters import parse_filter
from connector.directories.ldap import responses
from connector.directories.ldap.assertions import UserLooker
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import FILTER, ChangeModifier
from connector.directories.ldap.requests import ASSERTION
from connector.directories.ldap.responses import DONE
from connector.directories.ldap.wire import Wire
from connector.model import ID, AttributeChange, Change, Held, Secret, User, UserRef
from tests.support.ldap_answers import MODIFIED
from tests.support.ldap_line import BASE, WHERE, Asked, Line, change, person

FAX = "facsimileTelephoneNumber"
"""An attribute without an equality rule, so that its values cannot be compared."""
MARK = "entryCSN"
NOT, EQUAL, PRESENT = 0xA2, 0xA3, 0x87
"""Tags of filters (RFC 4511 §4.5.1.7)."""
LEFT = AttributeChange("description", ("left",), ("right",))


@dataclass
class Server:
    """Entries of users by number, and how it answers an assertion: by `says`, or in result 122 where it is not true.

    `untrue`: the attributes of which it believes no value to be there, as a proxy that maps them does. `after`: what
    somebody else does after each read. `success`: the kind of message that tells success.
    """

    entries: dict[int, dict[str, tuple[Held, ...]]]
    says: Callable[[bool], int] = lambda true: responses.SUCCESS if true else responses.ASSERTION_FAILED
    untrue: frozenset[str] = frozenset()
    reads: list[list[UserRef]] = field(default_factory=list)
    asserted: list[bytes] = field(default_factory=list)
    after: Callable[[], object] = lambda: None
    gone: set[int] = field(default_factory=set)
    success: int = DONE

    def read(self, users: Iterable[UserRef]) -> Iterator[User]:
        refs = list(users)
        self.reads.append(refs)
        shown = [
            User(ref.id, ref.name, dict(held))
            for n, held in self.entries.items()
            if n not in self.gone and (ref := person(n)) in refs
        ]
        self.after()
        return iter(shown)

    def ends(self, asked: Asked, code: int) -> int:
        return self.success if ASSERTION in asked.controls and code == responses.SUCCESS else DONE

    def judges(self, asked: Asked) -> int:
        if ASSERTION not in asked.controls:
            return responses.SUCCESS
        critical, value = asked.controls[ASSERTION]
        assert critical, "a server that does not know the control must not carry the search out"
        ((wanted, parts),) = elements(value)
        number = next(n for n in self.entries if person(n).name == asked.name)
        self.asserted.append(value)
        return self.says(self._true(wanted, parts, self._held(number)))

    def _held(self, number: int) -> dict[str, set[bytes]]:
        held = {"uid": (f"u{number}",), "entryUUID": (person(number).id,), **self.entries[number]}
        return {
            name: {value if isinstance(value, bytes) else str(value).encode() for value in values}
            for name, values in held.items()
            if name not in self.untrue and values
        }

    def _true(self, kind: int, parts: bytes, held: dict[str, set[bytes]]) -> bool:
        if kind == PRESENT:
            return parts.decode() in held
        if kind == NOT:
            return not any(self._true(*each, held) for each in elements(parts))
        assert kind == EQUAL
        (_, name), (_, value) = elements(parts)
        return value in held.get(name.decode(), ())


def elements(octets: bytes) -> list[tuple[int, bytes]]:
    """Short elements (X.690) one after the other: tags and contents. ldap3 cannot read what is negated."""
    found = []
    while octets:
        tag, size, rest = octets[0], octets[1], octets[2:]
        assert size < 0x80
        found.append((tag, rest[:size]))
        octets = rest[size:]
    return found


@contextmanager
def proving(server: Server) -> Iterator[UserLooker]:
    line = Line(lambda line: None, ASSERTION, **{f"u{number}": {} for number in server.entries})
    line.judges, line.ends = server.judges, server.ends
    wire = Wire(line, WHERE, 5)
    inspection = Inspection(wire, BASE)
    modifier = ChangeModifier(inspection.dialect, parse_filter("(uid=*)"), inspection.info, inspection.has_substrings)
    try:
        yield UserLooker(wire, modifier, server.read, lambda questions: iter(()))
    finally:
        line.close()
        line.cut()


def people(*values: str, **more: tuple[Held, ...]) -> dict[int, dict[str, tuple[Held, ...]]]:
    return {n: {"description": (value,), MARK: (f"csn-{n}",), **more} for n, value in enumerate(values or ("left",), 1)}


def passes_over(true: bool) -> int:
    """A server that lists the control and takes no notice of it."""
    return responses.SUCCESS


def never_true(true: bool) -> int:
    return responses.ASSERTION_FAILED


def believed(server: Server, *changes: Change) -> tuple[set[str], set[str]]:
    """What is proven and what is refuted after an attempt."""
    with proving(server) as assertions:
        assertions.prove_for(changes)
        return assertions.proven, assertions.refuted


# ---------------------------------------------------------------- proven, refuted, unproven


def test_what_a_server_keeps_is_proven_with_the_id_the_filter_and_the_mark() -> None:
    with proving(Server(people())) as assertions:
        assert not assertions.covers_change(change(1, LEFT)), "nothing is believed before it was tried"
        assertions.prove_for([change(1, LEFT)])
        assert (assertions.proven, assertions.refuted) == ({ID, FILTER, "description", MARK}, set())
        assert assertions.covers_change(change(1, LEFT))
        assert not assertions.covers_change(change(1, LEFT, AttributeChange("title", ("a",), ("b",))))
        assert list(assertions.list_cautions()) == []


@pytest.mark.parametrize("says", [passes_over, never_true, lambda true: 53, lambda true: 122 if true else 0])
def test_what_does_not_both_hold_and_fail_is_refuted(says: Callable[[bool], int]) -> None:
    """By other results than success and assertionFailed, too."""
    assert believed(Server(people(), says), change(1, LEFT)) == (set(), {ID, FILTER, "description", MARK})


@pytest.mark.parametrize("failed", [responses.SUCCESS, responses.DENIED, responses.NO_SUCH_OBJECT])
def test_a_false_assertion_has_to_end_in_assertion_failed(failed: int) -> None:
    proven, refuted = believed(Server(people(), lambda true: 0 if true else failed), change(1, LEFT))
    assert (proven, "description" in refuted) == (set(), True)


@pytest.mark.parametrize("succeeded", [responses.ASSERTION_FAILED, responses.DENIED])
def test_a_true_assertion_has_to_succeed(succeeded: int) -> None:
    proven, refuted = believed(Server(people(), lambda true: succeeded if true else 122), change(1, LEFT))
    assert (proven, "description" in refuted) == (set(), True)


def test_an_answer_that_is_no_result_of_a_search_is_no_success() -> None:
    assert believed(Server(people(), success=MODIFIED), change(1, LEFT)) == (set(), {ID, FILTER, "description", MARK})


@pytest.mark.parametrize("name", ["description", MARK, "entryUUID", "uid"])
def test_an_attribute_that_a_proxy_maps_is_refuted_alone(name: str) -> None:
    proven, refuted = believed(Server(people(), untrue=frozenset({name})), change(1, LEFT))
    what = {"entryUUID": ID, "uid": FILTER}.get(name, name)
    assert refuted == {what}
    assert proven == {ID, FILTER, "description", MARK} - {what}


def test_an_entry_without_a_mark_leaves_the_mark_unproven() -> None:
    assert believed(Server({1: {"description": ("left",)}}), change(1, LEFT)) == ({ID, FILTER, "description"}, set())


def test_a_user_that_is_gone_tells_nothing() -> None:
    server = Server(people())
    assert believed(server, change(2, LEFT)) == (set(), set())
    assert server.asserted == []


# ---------------------------------------------------------------- what is asserted


@pytest.mark.parametrize(
    ("name", "value", "asserted"),
    [
        ("description", "left", EQUAL),
        ("description", b"\xff\x00", EQUAL),
        (FAX, "7", PRESENT),
        ("description", Secret("canary-1"), PRESENT),
    ],
)
def test_a_value_is_compared_where_it_can_be_and_is_no_secret(name: str, value: Held, asserted: int) -> None:
    server = Server({1: {name: (value,)}})
    with proving(server) as assertions:
        assertions.proven |= {ID, FILTER, MARK}
        held = AttributeChange(name, ("7",), ("8",), secret=False)
        assertions.prove_for([change(1, held)])
        assert name in assertions.proven
    assert [each[0] for each in server.asserted] == [asserted, NOT]
    assert not any(b"canary" in each for each in server.asserted)


def test_two_assertions_are_made_for_each_attribute_and_none_once_it_is_known() -> None:
    server = Server(people("left", "left"))
    with proving(server) as assertions:
        assertions.prove_for([change(1, LEFT), change(2, LEFT)])
        assert (len(server.asserted), server.reads) == (8, [[person(1)]])
        assertions.prove_for([change(2, LEFT)])
        assert (len(server.asserted), len(server.reads)) == (8, 1), "all of it is proven"


def test_a_refuted_attribute_is_not_tried_again() -> None:
    server = Server(people("left", "left"), untrue=frozenset({"description"}))
    with proving(server) as assertions:
        assertions.prove_for([change(1, LEFT)])
        tried = len(server.asserted)
        assertions.prove_for([change(2, LEFT)])
        assert (len(server.asserted), assertions.refuted) == (tried, {"description"})


# ---------------------------------------------------------------- whom it is tried on


def first(number: int) -> Change:
    return change(number, AttributeChange("description", (), ("right",)))


def test_a_first_roll_out_is_proven_by_a_user_just_written() -> None:
    server = Server(people("right", "right"))
    with proving(server) as assertions:
        assertions.prove_for([first(1)])
        assert assertions.proven == {ID, FILTER, MARK}, "nobody is known to hold a value"
        assertions.note_written(first(1))
        assertions.prove_for([first(2)])
        assert "description" in assertions.proven
    assert server.reads == [[person(1)], [person(1)]]


def test_a_user_whose_values_were_cleared_proves_nothing() -> None:
    server = Server(people("left"))
    with proving(server) as assertions:
        assertions.note_written(change(1, AttributeChange("description", ("left",), ())))
        assertions.prove_for([first(2)])
        assert server.reads == [[person(2)]]


def test_a_value_that_no_user_shows_is_tried_three_times_and_stays_open() -> None:
    server = Server({n: {} for n in range(1, 6)})
    with proving(server) as assertions:
        assertions.proven |= {ID, FILTER, MARK}
        for number in range(1, 6):
            assertions.prove_for([change(number, LEFT)])
        assert (assertions.proven, assertions.refuted) == ({ID, FILTER, MARK}, set())
        assert not assertions.covers_change(change(1, LEFT))
    assert len(server.reads) == 3


def test_the_first_user_who_holds_a_value_is_asked() -> None:
    server = Server({1: {}, 2: {"description": ("left",)}})
    assert "description" in believed(server, first(1), change(2, LEFT))[0]
    assert sorted(ref.id for ref in server.reads[0]) == ["id-1", "id-2"]


@pytest.mark.parametrize("unseen", [{"seen": False}, {"secret": True}])
def test_nobody_is_asked_about_values_that_no_assertion_names(unseen: dict[str, Any]) -> None:
    server = Server(people())
    with proving(server) as assertions:
        assertions.proven |= {ID, FILTER}
        one = change(1, AttributeChange("description", ("left",), ("right",), **unseen))
        assert assertions.covers_change(one)
        assertions.prove_for([one])
    assert server.reads == []


def test_a_value_that_somebody_changes_meanwhile_refutes_nothing() -> None:
    server = Server(people())
    values = iter(("b", "c", "d", "e", "f", "g"))
    server.after = lambda: server.entries[1].update(description=(next(values),))
    with proving(server) as assertions:
        assertions.proven |= {ID, FILTER, MARK}
        assertions.prove_for([change(1, LEFT)])
        assert (assertions.proven, assertions.refuted) == ({ID, FILTER, MARK}, set())
        server.after = lambda: None
        assertions.prove_for([change(1, LEFT)])
        assert "description" in assertions.proven


def test_a_user_that_goes_meanwhile_refutes_nothing() -> None:
    server = Server(people())

    def goes(true: bool) -> int:
        server.gone.add(1)
        return responses.NO_SUCH_OBJECT

    server.says = goes
    assert believed(server, change(1, LEFT)) == (set(), set())


# ---------------------------------------------------------------- the report


def cautions(untrue: Sequence[str], *changes: AttributeChange) -> list[str]:
    server = Server(people(title=("a",)), untrue=frozenset(untrue))
    with proving(server) as assertions:
        assertions.prove_for([change(1, *changes)])
        return list(assertions.list_cautions())


def test_a_caution_names_each_attribute_once_and_the_mark_that_stands_in() -> None:
    both = (LEFT, AttributeChange("title", ("a",), ("b",)))
    (said,) = cautions(["title", "description"], *both)
    assert " description, title." in said
    assert f"mark {MARK} is checked instead" in said


def test_a_caution_says_that_nothing_stands_in_for_the_mark() -> None:
    (said,) = cautions(["description", MARK], LEFT)
    assert f" description, {MARK}." in said
    assert "may go unnoticed" in said


def test_a_caution_names_the_id_and_the_filter_in_words() -> None:
    (said,) = cautions(["entryUUID", "uid"], LEFT)
    assert " the job's filter, the user's id." in said
