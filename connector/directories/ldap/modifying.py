"""A planned change as a modify request that asserts what the plan believes, and a result as an outcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from msgspec import Struct

from connector.directories.common.entries import ForbiddenError, stored_octets
from connector.directories.common.ldap_filters import (
    And,
    Equal,
    Filter,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.ldap.dialect import AccessRight, Dialect, RightsAdvice
from connector.directories.ldap.requests import (
    EditKind,
    assertion_control,
    encode_modification,
    encode_modify,
)
from connector.directories.ldap.responses import (
    ASSERTION_FAILED,
    ATTRIBUTE_OR_VALUE_EXISTS,
    DENIED,
    INAPPROPRIATE_MATCHING,
    NO_SUCH_ATTRIBUTE,
    NO_SUCH_OBJECT,
    REFERRAL,
    SUCCESS,
    UNAVAILABLE_CRITICAL_EXTENSION,
    UNWILLING,
    Response,
    name_result,
    show_diagnostic,
)
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
from connector.model.equality import choose_rule, same_set, subtract_equal
from connector.model.patterns import ALL, owned_values, split_pattern

FILTER = "@filter"
"""The job's filter, among the attributes that an assertion says something of."""

ENABLED = "the user was disabled when the plan was made, and is enabled now"
_CLASSES = OBJECT_CLASS.lower()
_CONFLICTS = {
    ASSERTION_FAILED: "the entry is no longer as planned",  # its values, its id, or the job's filter
    NO_SUCH_ATTRIBUTE: "the entry is no longer as planned: a value to be taken out is not there",
    INAPPROPRIATE_MATCHING: "the entry is no longer as planned: a value is there where the plan saw none",
    NO_SUCH_OBJECT: "the entry is gone, or has another name",
    ATTRIBUTE_OR_VALUE_EXISTS: "the entry is no longer as planned: a value to be added is already there. If it was "
    "not shown, grant this account the right to read {names}",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9;-]*")


class ChangeModifier(Struct, frozen=True):
    """Turns changes into requests, for one server, its schema, and the filter that a user has to match."""

    dialect: Dialect
    filter: Filter
    info: Callable[[str], AttributeInfo]
    has_substrings: Callable[[str], bool]
    """Whether filters can ask for pieces of an attribute's values."""
    disabled: Filter | None = None
    """True of disabled users that may be cleared; None: none may."""
    rights: RightsAdvice = RightsAdvice()
    """What to do where a right is missing."""

    def make_request(self, change: Change) -> bytes | None:
        """The modify request, if there is anything to do. Raises ForbiddenError."""
        edits: list[bytes] = []
        for each in change.attributes:
            edits += self._edit_attribute(each)
        if not edits:
            return None
        return encode_modify(self.dialect.address_of(change.user), edits)

    def make_controls(
        self,
        change: Change,
        mark: Filter | None = None,
        absent: Collection[str] = (),
        refuted: Collection[str] = (),
    ) -> tuple[bytes, ...]:
        """The assertion (RFC 4528) that the entry is the one planned for, and says what the plan saw.

        `mark`: that it was not changed since it was looked at, for what no filter says of its values. `absent`: such
        attributes, that have no value. `refuted`: of which no assertion works here (`asserted`).
        """
        if not self.dialect.controls.assertions:
            return ()
        users = self.filter
        if change.disabled:
            off = self.disabled
            users = And((off, Not(self.filter))) if off else Or(())
        believed = {ID: self.dialect.user_filter(change.user.id), FILTER: users}
        if mark is not None:
            believed[self.dialect.writes.mark or ""] = mark
        filters = [each for name, each in believed.items() if name not in refuted]
        filters += self._assert_values(change, {*absent, *refuted})
        return (assertion_control(*filters),) if filters else ()

    def list_asserted(self, attributes: Iterable[AttributeChange]) -> Iterator[str]:
        """What an assertion for these changes says something of: attributes, by name, beside `ID` and `FILTER`."""
        yield from (ID, FILTER)
        for each in select_judged(attributes):
            if not (each.secret and each.old):
                yield each.name

    def mark_of(self, user: User) -> Filter | None:
        """That the user's entry was not changed since the user was read; None where it shows no mark."""
        name = self.dialect.writes.mark or ""
        marks = user.values.get(name)
        return Equal(name, stored_octets(marks[0])) if marks else None

    @property
    def writable_users(self) -> Filter:
        """The filter of whoever may be changed, disabled users too where they may be cleared."""
        return Or((self.filter, self.disabled)) if self.disabled else self.filter

    def _edit_attribute(self, change: AttributeChange) -> list[bytes]:
        """Values by value, so that a wrong old one fails (result 16) and no other is touched.

        Where that cannot be, since the old value is unseen or the attribute's values cannot
        be compared, the attribute is replaced; and that only where all of its values are
        ours.
        """
        name = change.name
        is_known = change.seen or (change.old and not change.secret)
        if is_known and self.info(name).comparable:
            rule = self._choose_rule(change)
            removed = subtract_equal(rule, change.old, change.new)
            added = subtract_equal(rule, change.new, change.old)
            info = self.info(name)
            if len(added) > 1 and info.definition.known and info.single:
                raise ForbiddenError(f"{name} can hold one value only")
            edits = []
            if removed:
                edits.append(_encode_edit(EditKind.DELETE, name, removed))
            if added:
                edits.append(_encode_edit(EditKind.ADD, name, added))
            return edits
        if change.pattern not in (None, ALL):
            why = "has no equality rule" if change.seen else "cannot be read"
            raise ForbiddenError(
                f'{name} {why}, so single values cannot be changed. In the mapping, set `owns: "*"` for it'
            )
        # added, for there may be a value by now
        is_first = change.seen and change.new and not change.old
        kind = EditKind.ADD if is_first else EditKind.REPLACE
        return [_encode_edit(kind, name, change.new)]

    def _choose_rule(self, change: AttributeChange) -> Equality:
        return choose_rule(self.info(change.name).equality, secret=change.secret)

    def _assert_values(
        self, change: Change, without: Collection[str]
    ) -> Iterator[Filter]:
        """What the plan saw of each attribute that the server can judge.

        Old secrets are left to the deletion of their values, since a filter may end up in
        the server's log.
        """
        for attribute in select_judged(change.attributes):
            name = attribute.name
            if name in without:
                continue
            if not attribute.old:
                yield from self._deny_all(attribute)
            elif self.info(name).comparable and not attribute.secret:
                for value in attribute.old:
                    yield Equal(name, stored_octets(value))

    def _deny_all(self, change: AttributeChange) -> Iterator[Filter]:
        """That the attribute has no value which fits the pattern, as far as a filter says that."""
        whole = change.pattern
        if whole is None or self.info(change.name).single:
            whole = ALL
        for pattern in split_pattern(whole):
            held = self._match_pattern(change.name, pattern)
            if held is not None:
                yield Not(held)

    def _match_pattern(self, name: str, pattern: str) -> Filter | None:
        """That an attribute has a value that fits one pattern; None where no filter says that."""
        if pattern == ALL:
            return Present(name)
        if ALL not in pattern:
            is_comparable = self.info(name).comparable
            return Equal(name, pattern.encode()) if is_comparable else None
        if not self.has_substrings(name):
            return None
        first, *middle, last = pattern.encode().split(ALL.encode())
        between = tuple(piece for piece in middle if piece)
        return Substrings(name, first or None, between, last or None)

    # ------------------------------------------------------------ before and after

    def explain_difference(self, change: Change, now: User | None) -> str | None:
        """Why an entry, read again, is not the one that the plan saw; None where it is."""
        if now is None or (now.disabled and not change.disabled):
            return "the entry is gone, or no longer in base and filter"
        if change.disabled and not now.disabled:
            return ENABLED
        if not same_set(Equality.DN, (now.name,), (change.user.name,)):
            return f"the entry was renamed: {now.name}"
        for attribute in select_judged(change.attributes):
            held = now.values.get(attribute.name, ())
            mine = owned_values(attribute.pattern, held)
            if not same_set(self._choose_rule(attribute), mine, attribute.old):
                return f"{attribute.name} changed since the plan"
        return None

    def judge_answer(
        self,
        change: Change,
        response: Response,
        refuted: Collection[str] = (),
    ) -> Outcome:
        """What the server's answer means for the user. `refuted`: of which no assertion works here."""
        code = response.code
        if code == SUCCESS:
            return Outcome(change.user, Result.WRITTEN)
        said = _show_words(change, response)
        result = Result.CONFLICT
        if code in _CONFLICTS:
            added = [each.name for each in change.attributes if each.new]
            why = _CONFLICTS[code].format(names=" or ".join(added))
        elif self._meets_a_value(change, response, refuted):
            why = "a value is there that the plan did not see"
        elif code == REFERRAL:
            result = Result.FAILED
            others = ", ".join(response.referrals[:3]) or "another server"
            why = f"read-only replica. In `urls`, list a writable server (it refers to {others})"
        else:
            result, why = Result.FAILED, name_result(code)
            if code == UNAVAILABLE_CRITICAL_EXTENSION:
                said += UNWILLING
            elif code == DENIED:
                said = self._advise_rights(change, response, said)
        return Outcome(change.user, result, why + said)

    def _advise_rights(
        self,
        change: Change,
        response: Response,
        said: str,
    ) -> str:
        """What may not be written (the attributes that the server names, else all), its words, and what to grant."""
        names = [each.name for each in change.attributes]
        heard = {word.lower() for word in _NAME.findall(response.diagnostic)}
        denied = [name for name in names if name.lower() in heard] or names
        one_of = "one of " if 1 < len(denied) == len(names) else ""
        written = f"write {one_of}{', '.join(denied)}"
        secrets = [each.name for each in change.attributes if each.secret]
        what = f"{written} of this entry"
        grant = self.rights.advise_grant(what, denied, AccessRight.WRITE, secrets)
        return f" to {written}{said}. {grant}"

    def _meets_a_value(
        self,
        change: Change,
        response: Response,
        refuted: Collection[str],
    ) -> bool:
        """Whether it sets a single-valued attribute that has a value, and no assertion said that it has none."""
        if not self.dialect.writes.is_second_value(response):
            return False
        return any(
            item.seen and item.new and not item.old and self.info(item.name).single
            for item in change.attributes
            if not self.dialect.controls.assertions or item.name in refuted
        )


def _encode_edit(
    kind: EditKind,
    name: str,
    values: Iterable[Held],
) -> bytes:
    return encode_modification(kind, name, map(stored_octets, values))


def select_judged(attributes: Iterable[AttributeChange]) -> Iterator[AttributeChange]:
    """Those whose values have to be what the plan saw; object classes are added to whatever others are."""
    return (each for each in attributes if each.seen and each.name.lower() != _CLASSES)


def _show_words(change: Change, response: Response) -> str:
    """The server's own words, without anything of a secret of this change."""
    secrets = {
        stored_octets(value)
        for attribute in change.attributes
        for value in (*attribute.old, *attribute.new)
        if attribute.secret or isinstance(value, Secret)
    }
    return show_diagnostic(response, secrets, [each.name for each in change.attributes])
