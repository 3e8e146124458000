"""Whether users hold values that they did not show: asked by comparing, or where that tells nothing, by reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from connector.directories.common.changing import octets, value_of
from connector.directories.common.ldap_filters import And, Filter, Not, Present
from connector.directories.ldap import requests, results
from connector.directories.ldap.requests import NOTHING, Scope, Search
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from connector.model import AttributeInfo, Holds, Question, Secret
from connector.reconcile.equality import whether_held

IsUser = Callable[[str], Filter]
"""A filter that is true for the user of this id alone."""

_ANSWERS: Final = {
    results.COMPARE_TRUE: Holds.SAME,
    results.COMPARE_FALSE: Holds.OTHER,
    results.NO_SUCH_ATTRIBUTE: Holds.ABSENT,
}

_NOBODYS: Final = "xCecConnectorNone"
"""An attribute type that no server has."""


def told(
    wire: Wire,
    questions: Iterable[Question],
    window: int,
    is_user: IsUser,
    key: Callable[[str], str],
    *,
    asserted: bool,
) -> Iterator[Holds]:
    """The answers of comparing (RFC 4511 §4.10), in order; of what is no secret, of searching too.

    `key`: what all spellings of an attribute description have in common. Where `asserted`, the entry has to be that
    user still, not just one of that name.

    Measured on OpenLDAP 2.6: with the right to compare, an attribute without a value
    answers noSuchAttribute (16). Without it the answer is insufficientAccessRights (50),
    whether there is a value or not; so 16 is never a hidden value.

    No value can be compared without an equality rule (result 18), nor without the right to
    compare. A search for whoever has no value of the attribute finds the user if it has
    none. Measured on OpenLDAP 2.6 and 389-DS 3.1: it finds nobody where we may not search
    by the attribute. And both compare, and search for, values of subtypes
    (`employeeNumber;lang-de`, RFC 4512 §2.5) as well, which are not the attribute's own;
    those they show as such.
    """
    asked = list(questions)
    comparisons = (
        Operation(
            place,
            requests.compare(each.user.name, each.attribute, octets(each.value)),
            (requests.assertion(is_user(each.user.id)),) if asserted else (),
        )
        for place, each in enumerate(asked)
    )
    answers = {
        place: _ANSWERS.get(end.code, Holds.UNKNOWN)
        for place, end in wire.answers(comparisons, window)
    }
    others = [
        place
        for place, answer in answers.items()
        if answer is Holds.OTHER and _open(asked[place])
    ]
    one = next((asked[place].user for place in others), None)
    if one and _undiscerning(wire, one.name, window):
        answers |= dict.fromkeys(others, Holds.UNKNOWN)
    searches = (
        ((place, name), search)
        for place, each in enumerate(asked)
        if answers[place] is not Holds.ABSENT and _open(each)
        for name, search in _searches(
            each, is_user, untold=answers[place] is Holds.UNKNOWN
        )
    )
    for (place, name), found in wire.entries(searches, window):
        shown = {key(each) for each in found.texts()}
        if not name or (shown and key(name) not in shown):
            answers[place] = Holds.ABSENT
    return (answers[place] for place in range(len(asked)))


def _open(asked: Question) -> bool:
    return not isinstance(asked.value, Secret)


def _undiscerning(wire: Wire, name: str, window: int) -> bool:
    """Whether an attribute that nobody has compares like another value: then compareFalse tells nothing of a value.

    Measured on ldaptor 21.2. RFC 4511 §4.10 wants noSuchAttribute or
    undefinedAttributeType, as OpenLDAP and 389-DS answer.
    """
    operation = Operation(name, requests.compare(name, _NOBODYS, b"?"))
    return results.COMPARE_FALSE in {
        answer.code for _, answer in wire.answers([operation], window)
    }


def _searches(
    asked: Question, is_user: IsUser, *, untold: bool
) -> Iterator[tuple[str, Search]]:
    """For what the user shows of the attribute, subtypes too; and where nothing was told, for one that has none."""
    name, user = asked.user.name, is_user(asked.user.id)
    yield asked.attribute, Search(name, Scope.BASE, user, (asked.attribute,))
    if untold:
        yield (
            "",
            Search(
                name, Scope.BASE, And((user, Not(Present(asked.attribute)))), NOTHING
            ),
        )


def read(
    wire: Wire,
    questions: Iterable[Question],
    window: int,
    is_user: IsUser,
    info: Callable[[str], AttributeInfo],
) -> Iterator[Holds]:
    """The same by searches, for Active Directory: there a hidden value compares as one that is not there.

    (Measured on Samba 4.22: compareFalse, with and without a value; and so it is for every
    filter.) What is not shown is absent where the attribute can be read, and unknown where
    it is confidential.
    """
    asked = list(questions)
    answers = [Holds.UNKNOWN] * len(asked)
    searches = (
        (
            place,
            Search(
                each.user.name, Scope.BASE, is_user(each.user.id), (each.attribute,)
            ),
        )
        for place, each in enumerate(asked)
    )
    for place, found in wire.entries(searches, window):
        described = info(asked[place].attribute)
        values = [value for _, some in found.attributes for value in some]
        absent = Holds.ABSENT if described.readable else Holds.UNKNOWN
        held = (value_of(described, value) for value in values)
        answers[place] = (
            whether_held(described.equality, held, asked[place].value)
            if values
            else absent
        )
    return iter(answers)
