"""Writing to an LDAP server that goes away: one outcome for each change, whatever had become of it by then."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count as count_from

import pytest
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.ldap_filters import Present
from connector.directories.ldap import ber, dialect, requests
from connector.directories.ldap.adapter import ChangeQueue, ChangeWriter, PostRead
from connector.directories.ldap.assertions import UserLooker
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import FILTER, ChangeModifier
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.errors import UnreachableError
from connector.model import ID, AttributeChange, Change, Outcome, Result, User, UserRef, View
from tests.support.ldap_answers import MODIFIED

BASE = "ou=people,dc=example,dc=org"
SERVER = dialect.recognise_server({"supportedcontrol": [requests.ASSERTION]})


def change(number: int) -> Change:
    user = UserRef(f"00000000-0000-4000-8000-{number:012}", f"uid=u{number},{BASE}")
    return Change(user, None, 1, (AttributeChange("employeeNumber", (), (str(number),)),))


def yes(number: int) -> bytes:
    """The answer to a modify that was done (RFC 4511 §4.1.9)."""
    nothing = ber.encode_tlv(ber.OCTETS, b"")
    return requests.encode_message(
        number, ber.encode_sequence((ber.encode_integer(0, ber.ENUMERATED), nothing, nothing), MODIFIED)
    )


def written(count: int, window: int, *, answers: int = 0, reads: int | None = None) -> list[Outcome]:
    """The outcomes of so many changes, by a server that answers the first ones and hangs up.

    `reads`: the server has no assertions, so that users are read before they are written; that goes well so many times,
    and what was read is then written and answered.
    """
    ours, theirs = socket.socketpair()
    numbers = count_from(1)
    left = reads or 0

    def answer(number: int) -> None:
        theirs.sendall(b"".join(yes(next(numbers)) for _ in range(number)))

    def read(users: Iterable[UserRef]) -> Iterator[User]:
        nonlocal left
        if not left:
            raise UnreachableError("gone")
        left -= 1
        wanted = list(users)
        answer(len(wanted))  # it comes after what is sent next
        return (User(user.id, user.name, {}) for user in wanted)

    with closing(theirs), closing(Wire(ours, "ldap://server.example.org", 5)) as wire:
        if reads is None:
            answer(answers)
            theirs.shutdown(socket.SHUT_WR)
        inspection = Inspection(wire, BASE)
        inspection.root_dse, inspection.native_dialect = (
            {},
            replace(SERVER, controls=dialect.ListedControls(assertions=reads is None)),
        )
        modifier = ChangeModifier(inspection.dialect, Present("uid"), known_schema().info, lambda name: False)
        looker = UserLooker(wire, modifier, read, lambda questions: iter(()))
        looker.proven |= {ID, FILTER, "employeeNumber"}
        writer = ChangeWriter(
            wire, modifier, PostRead(inspection, UserDecoder(View(("uid",)), inspection), Present("uid")),
            window=window, covers=lambda name: True, looker=looker,
        )  # fmt: skip
        return list(writer.write_queue(ChangeQueue(map(change, range(count)))))


def results(outcomes: Iterable[Outcome]) -> list[tuple[int, Result, bool]]:
    """By the number of its change what became of each."""
    return sorted((int(outcome.user.id[-12:]), outcome.result, outcome.unknown) for outcome in outcomes)


@pytest.mark.parametrize(
    ("count", "window", "answered", "unknown"),
    [
        (6, 2, 0, 2),
        (6, 4, 2, 4),
        (6, 8, 6, 0),
        (6, 8, 3, 3),
        (6, 1, 0, 1),
        (9, 4, 4, 4),
        (40, 16, 16, 16),
        (0, 4, 0, 0),
    ],
)
def test_after_a_cut_each_change_has_one_outcome(count: int, window: int, answered: int, unknown: int) -> None:
    """What was answered is written, what was in flight is not known, and the rest was never sent."""
    rest = count - answered - unknown
    assert results(written(count, window, answers=answered)) == [
        *((number, Result.WRITTEN, False) for number in range(answered)),
        *((number, Result.FAILED, True) for number in range(answered, answered + unknown)),
        *((number, Result.SKIPPED, False) for number in range(count - rest, count)),
    ]


@pytest.mark.parametrize("reads", [0, 1, 2, 3])
def test_where_users_are_read_first_and_cannot_be_any_more_each_change_has_one_outcome(reads: int) -> None:
    """Two at a time; what was answered just before is told all the same."""
    assert results(written(6, 2, reads=reads)) == [
        (number, Result.WRITTEN if number < 2 * reads else Result.SKIPPED, False) for number in range(6)
    ]
