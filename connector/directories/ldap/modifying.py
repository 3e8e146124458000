"""A planned change as a modify request that asserts what the plan believes, and a result as an outcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from msgspec import Struct

from connector.directories.common.changing import ForbiddenError, octets
from connector.directories.common.ldap_filters import (
    And,
    Equal,
    Filter,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.ldap import requests, results
from connector.directories.ldap.dialect import Dialect
from connector.directories.ldap.inspection import Rules
from connector.directories.ldap.requests import Edit
from connector.directories.ldap.responses import Response
from connector.directories.ldap.rights import Advice, Right
from connector.model import (
    ID,
    OBJECT_CLASS,
    AttributeChange,
    AttributeInfo,
    Change,
    Equality,
    Held,
    Outcome,
    Result,
    Secret,
    User,
)
from connector.reconcile.diff.patterns import ALL, ours, parts
from connector.reconcile.equality import choose_rule, minus, same_set

FILTER: Final = "@filter"
"""The job's filter, among the attributes that an assertion says something of."""

ENABLED: Final = "the user was disabled when the plan was made, and is enabled now"
_CLASSES = OBJECT_CLASS.lower()
_CONFLICTS = {
    results.ASSERTION_FAILED: "the entry is no longer as planned",  # its values, its id, or the job's filter
    results.NO_SUCH_ATTRIBUTE: "the entry is no longer as planned: a value to be taken out is not there",
    results.INAPPROPRIATE_MATCHING: "the entry is no longer as planned: a value is there where the plan saw none",
    results.NO_SUCH_OBJECT: "the entry is gone, or has another name",
}
_THERE = "the entry is no longer as planned: a value to be added is already there"
_HIDDEN = (
    "a value to be added is already there, but was not shown. Probably this account may not read it. Grant it the "
    "right to read {names}"
)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9;-]*")


class Modifier(Struct, frozen=True, dict=True):
    """Turns changes into requests, for one server, its schema, and the filter that a user has to match.

    `disabled`: the filter of disabled users that may be cleared, if any may. `rights`: what to do where one is missing.
    """

    dialect: Dialect
    filter: Filter
    info: Callable[[str], AttributeInfo]
    rules: Callable[[str], Rules]
    disabled: Filter | None = None
    rights: Advice = Advice()

    def request(self, change: Change) -> bytes | None:
        """The modify request, if there is anything to do. Raises ForbiddenError."""
        edits: list[bytes] = []
        for each in change.attributes:
            if (
                each.old
                or not each.seen
                or not self._firsts(each.name, each.pattern)[0]
            ):
                edits += self._edits(each)
            elif len(each.new) == 1:  # as nearly every one
                edits.append(
                    requests.modification(Edit.ADD, each.name, (octets(each.new[0]),))
                )
            else:
                edits += (
                    self._alike(each.name, each.new)
                    if each.name == OBJECT_CLASS
                    else self._edits(each)
                )
        return (
            requests.modify(self.dialect.address(change.user), edits) if edits else None
        )

    def controls(
        self,
        change: Change,
        mark: bytes | None = None,
        absent: Collection[str] = (),
        refuted: Collection[str] = (),
    ) -> tuple[bytes, ...]:
        """The assertion (RFC 4528) that the entry is the one planned for, and says what the plan saw.

        `mark`: that it was not changed since it was looked at, for what no filter says of its values. `absent`: such
        attributes, that have no value. `refuted`: of which no assertion works here (`asserted`).
        """
        if not self.dialect.assertions:
            return ()
        believed: list[Filter | bytes] = (
            [] if ID in refuted else [self.dialect.is_user(change.user.id)]
        )
        if FILTER not in refuted:
            believed.append(
                self._encoded_disabled if change.disabled else self._encoded_filter
            )
        believed += self._beliefs(change, {*absent, *refuted} if refuted else absent)
        if mark is not None and self.dialect.mark not in refuted:
            believed.append(mark)
        return (requests.assertion(*believed),) if believed else ()

    def asserted(self, attributes: Iterable[AttributeChange]) -> Iterator[str]:
        """What an assertion for these changes says something of: attributes, by name, beside `ID` and `FILTER`."""
        yield from (ID, FILTER)
        yield from (
            each.name for each in judged(attributes) if not (each.secret and each.old)
        )

    def mark_of(self, user: User) -> bytes | None:
        """That the user's entry was not changed since the user was read; None where it shows no mark."""
        name = self.dialect.mark or ""
        shown = user.values.get(name, ())
        return next(
            (requests.encode_filter(Equal(name, octets(mark))) for mark in shown), None
        )

    @cached_property
    def _encoded_filter(self) -> bytes:
        return requests.encode_filter(self.filter)

    @cached_property
    def _encoded_disabled(self) -> bytes:
        return requests.encode_filter(
            And((self.disabled, Not(self.filter))) if self.disabled else Or(())
        )

    @property
    def anybody(self) -> Filter:
        """The filter of whoever may be changed, disabled users too where they may be cleared."""
        return Or((self.filter, self.disabled)) if self.disabled else self.filter

    def _edits(self, change: AttributeChange) -> list[bytes]:
        """Values by value, so that a wrong old one fails (result 16) and no other is touched.

        Where that cannot be, since the old value is unseen or the attribute's values cannot
        be compared, the attribute is replaced; and that only where all of its values are
        ours.
        """
        name = change.name
        known = change.seen or (change.old and not change.secret)
        if known and self.rules(name).equality:
            rule = self._rule(change)
            removed, added = (
                minus(rule, change.old, change.new),
                minus(rule, change.new, change.old),
            )
            if len(added) > 1 and self.info(name).known and self.info(name).single:
                raise ForbiddenError(f"{name} can hold one value only")
            edits = ((Edit.DELETE, removed), (Edit.ADD, added))
            return [
                requests.modification(edit, name, tuple(map(octets, values)))
                for edit, values in edits
                if values
            ]
        if change.pattern not in (None, ALL):
            why = "has no equality rule" if change.seen else "cannot be read"
            raise ForbiddenError(
                f'{name} {why}, so single values cannot be changed. In the mapping, set `owns: "*"` for it'
            )
        # added, for there may be a value by now
        first = change.seen and change.new and not change.old
        return [
            requests.modification(
                Edit.ADD if first else Edit.REPLACE,
                name,
                tuple(map(octets, change.new)),
            )
        ]

    def _rule(self, change: AttributeChange) -> Equality:
        return choose_rule(self.info(change.name).equality, secret=change.secret)

    def _beliefs(
        self, change: Change, without: Collection[str]
    ) -> list[Filter | bytes]:
        """What the plan saw of each attribute that the server can judge.

        Old secrets are left to the deletion of their values, since a filter may end up in
        the server's log.
        """
        found: list[Filter | bytes] = []
        for attribute in judged(change.attributes):
            name = attribute.name
            if name in without:
                continue
            if not attribute.old:
                found += self._firsts(name, attribute.pattern)[1]
            elif self.rules(name).equality and not attribute.secret:
                found += [Equal(name, octets(value)) for value in attribute.old]
        return found

    @cached_property
    def _alike(self) -> Callable[[str, tuple[Held, ...]], list[bytes]]:
        """The edits that add values which many users get."""
        return lru_cache(maxsize=1024)(
            lambda name, new: self._edits(AttributeChange(name, (), new))
        )

    @cached_property
    def _firsts(self) -> Callable[[str, str | None], tuple[bool, tuple[bytes, ...]]]:
        """Where no value of a pattern is: whether one may be added, and the filters that say that none is there."""

        def firsts(name: str, pattern: str | None) -> tuple[bool, tuple[bytes, ...]]:
            rules, single = self.rules(name), self.info(name).single
            absences = (
                _absence(name, part, rules)
                for part in parts(ALL if single or pattern is None else pattern)
            )
            return pattern in (None, ALL) or rules.equality, tuple(
                filter(None, absences)
            )

        return lru_cache(maxsize=1024)(firsts)

    # ------------------------------------------------------------ before and after

    def differs(self, change: Change, now: User | None) -> str | None:
        """Why an entry, read again, is not the one that the plan saw; None where it is."""
        if now is None or (now.disabled and not change.disabled):
            return "the entry is gone, or no longer in base and filter"
        if change.disabled and not now.disabled:
            return ENABLED
        if not same_set(Equality.DN, (now.name,), (change.user.name,)):
            return f"the entry was renamed: {now.name}"
        for attribute in judged(change.attributes):
            held = now.values.get(attribute.name, ())
            if not same_set(
                self._rule(attribute), ours(attribute.pattern, held), attribute.old
            ):
                return f"{attribute.name} changed since the plan"
        return None

    def outcome(
        self,
        change: Change,
        response: Response,
        refuted: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> Outcome:
        """What the server's answer means for the user. `refuted`: of which no assertion works here.

        `hidden`: attributes of which the user shows no value also after the answer.
        """
        code = response.code
        if code == results.SUCCESS:
            return Outcome(change.user, Result.WRITTEN)
        said = _said(change, response)
        if code == results.ATTRIBUTE_OR_VALUE_EXISTS:
            why = _HIDDEN.format(names=" or ".join(hidden)) if hidden else _THERE
            return Outcome(change.user, Result.CONFLICT, why + said)
        if code in _CONFLICTS:
            return Outcome(change.user, Result.CONFLICT, _CONFLICTS[code] + said)
        if self.dialect.occupied(response) and self._fills_an_empty_place(
            change, refuted
        ):
            return Outcome(
                change.user,
                Result.CONFLICT,
                f"a value is there that the plan did not see{said}",
            )
        if code == results.REFERRAL:
            others = ", ".join(response.referrals[:3]) or "another server"
            why = f"read-only replica. In `urls`, list a writable server (it refers to {others})"
            return Outcome(change.user, Result.FAILED, why + said)
        why = said
        if code == results.UNAVAILABLE_CRITICAL_EXTENSION:
            why += results.UNWILLING
        elif code == results.DENIED:
            named = _denied(change, response)
            names = f"{'one of ' if len(named) > 1 and len(named) == len(change.attributes) else ''}{', '.join(named)}"
            secrets = [each.name for each in change.attributes if each.secret]
            grant = self.rights.grant(
                f"write {names} of this entry", named, Right.WRITE, secrets
            )
            why = f" to write {names}{why}. {grant}"
        return Outcome(change.user, Result.FAILED, f"{results.name(code)}{why}")

    def _fills_an_empty_place(self, change: Change, refuted: Collection[str]) -> bool:
        """Whether it sets a single-valued attribute of which no assertion says that it is empty."""
        return any(
            item.seen and item.new and not item.old and self.info(item.name).single
            for item in change.attributes
            if not self.dialect.assertions or item.name in refuted
        )


def judged(attributes: Iterable[AttributeChange]) -> Iterator[AttributeChange]:
    """Those whose values have to be what the plan saw; object classes are added to whatever others are."""
    return (each for each in attributes if each.seen and each.name.lower() != _CLASSES)


def _absence(name: str, pattern: str, rules: Rules) -> bytes:
    """That an attribute has no value that fits one pattern; nothing where no filter says that."""
    if pattern == ALL:
        return requests.encode_filter(Not(Present(name)))
    if ALL not in pattern:
        return (
            requests.encode_filter(Not(Equal(name, pattern.encode())))
            if rules.equality
            else b""
        )
    if not rules.substrings:
        return b""
    first, *middle, last = pattern.encode().split(ALL.encode())
    pieces = Substrings(
        name, first or None, tuple(piece for piece in middle if piece), last or None
    )
    return requests.encode_filter(Not(pieces))


def _denied(change: Change, response: Response) -> list[str]:
    """What the server refuses to let the account write: the attributes that it names, else all."""
    names = [each.name for each in change.attributes]
    heard = {word.lower() for word in _NAME.findall(response.diagnostic)}
    return [name for name in names if name.lower() in heard] or names


def _said(change: Change, response: Response) -> str:
    """The server's own words, without anything of a secret of this change."""
    secrets = {
        octets(value)
        for attribute in change.attributes
        for value in (*attribute.old, *attribute.new)
        if attribute.secret or isinstance(value, Secret)
    }
    return results.diagnostic(
        response, secrets, [each.name for each in change.attributes]
    )
