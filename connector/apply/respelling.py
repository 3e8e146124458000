"""Values that are stored in another spelling than they were sent: whose they are.

What stands after a write is ours, as the directory spells it, only if

- the answer to that very write showed it, and reading shows it still, or
- the directory compares it equal to what was sent, or
- writing the same again brings the same again.

Else somebody else wrote meanwhile. That is a conflict. Where the second write has replaced
their value, it is put back. Where such a value was there before the first write, only
comparing tells: the server may have dropped that write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.port import Directory
from connector.errors import IncompleteRead
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Fingerprint,
    Held,
    Holds,
    Outcome,
    Question,
    Result,
    StoredValues,
    User,
    equality,
)
from connector.model.patterns import owned_values

JudgedWrite = tuple[Change, Outcome]
_REFUSED: Final = (Result.FAILED, Result.SKIPPED)
_STORED: Final = "the server stores {names} in another spelling"
_ELSES: Final = "another program wrote {names} just after this job; that value stays"
_REPLACED: Final = (
    "another program wrote {names} just after this job, which has replaced that value. "
    "It cannot be put back: {why}"
)
_TAKEN: Final = "the server stores {names} as a value that {holder} has too. Give one of them another value"


class Respelling(Struct, frozen=True):
    """An attribute that is not shown as it was sent."""

    sent: AttributeChange
    stored: AttributeChange
    asked: tuple[Held, ...]
    """The values that equal each other if the directory holds them all; none of a secret."""
    has_stood: bool
    """Whether a value that stands was there before the write."""


class UnconfirmedWrite(Struct, frozen=True):
    """A write that the server confirmed, until it is known whether it is shown."""

    change: Change
    written: Outcome
    """What it comes to once it is shown as it was sent."""
    outcome: Outcome
    """What it comes to if nothing more is known of it."""
    asked: User | None = None
    """The user as the answer showed it, where only hidden secrets are to be asked about."""
    answered: User | None = None
    """The user as the answer to the write itself showed it; None where it did not."""
    respellings: tuple[Respelling, ...] = ()
    """What is lost, if all of it may be spelt otherwise."""

    @property
    def has_stood(self) -> bool:
        """Whether a value that stands was there before the write."""
        return any(each.has_stood for each in self.respellings)

    def give_up(self, why: str) -> Outcome:
        """What is not seen yet may be there later."""
        known = self.outcome
        if known.result is Result.WRITTEN:
            said = f"the server confirmed the write; not read back: {why}"
            return replace(known, why=said)
        said = f"{known.why}; it may show later. Not awaited: {why}"
        return Outcome(known.user, Result.FAILED, said, may_stand=True)

    def tell_conflict(self, elses: Sequence[Respelling]) -> JudgedWrite:
        """Somebody else wrote these attributes; the others are as written."""
        names = tuple(each.sent.name for each in elses)
        why = _ELSES.format(names=", ".join(names))
        return self.change, Outcome(self.change.user, Result.CONFLICT, why, lost=names)


class SpellingJudge:
    """Tells whose values are that are not shown as they were sent. `key`: the fingerprint of a secret."""

    def __init__(
        self,
        directory: Directory,
        description: Description,
        key: Fingerprint,
    ) -> None:
        self._directory = directory
        self._description = description
        self._key = key

    def find_respellings(
        self,
        change: Change,
        user: User,
        lost: Sequence[str],
    ) -> tuple[Respelling, ...]:
        """The attributes that are `lost`, if all of them may be spelt otherwise; nothing if one of them may not."""
        found = []
        for each in change.attributes:
            if each.name not in lost:
                continue
            held = _find_held(user, each)
            missing = self._subtract(each, each.new, held)
            come = self._subtract(each, held, each.new)
            if not missing or len(missing) != len(come) or each.name == OBJECT_CLASS:
                return ()
            sent, before = each, each.replaced
            if before is None or not self._holds(user, replace(each, new=each.old)):
                # this write has not brought the same again
                sent, before = replace(each, replaced=None), each.old
            stored = replace(sent, old=before, new=held, sent=sent.new)
            asked = (*missing, *come)
            if sent.secret:
                print_ = self._key(user.ref, sent.name, held[0])
                stored = replace(stored, sent=(sent.fingerprint,), fingerprint=print_)
                asked = ()
            has_stood = self._subtract(sent, come, before) != come
            found.append(Respelling(sent, stored, asked, has_stood))
        return tuple(found)

    def judge_writes(
        self,
        writes: Sequence[UnconfirmedWrite],
        *,
        again: bool,
    ) -> list[JudgedWrite]:
        """Say of each write whose its values are. `again`: one may be sent once more.

        Nothing is said where a value stood before and does not compare equal: the write may
        not show yet. Where the directory cannot be read any more, that is said of the rest.
        """
        judged: dict[str, JudgedWrite] = {}
        unknown: list[UnconfirmedWrite] = []
        try:
            unequal = self._find_unequal(writes)
            for each in writes:
                known = self._judge_first(each, unequal)
                if known is not None:
                    judged[each.change.user.id] = known
                elif not each.has_stood and not again:
                    judged[each.change.user.id] = each.change, each.outcome
                elif not each.has_stood:
                    unknown.append(each)
            for known in self._write_again(unknown) if unknown else ():
                judged[known[0].user.id] = known
        except IncompleteRead as fault:
            for each in writes:
                gone = each.change, each.give_up(str(fault))
                judged.setdefault(each.change.user.id, gone)
        return list(judged.values())

    def _find_unequal(
        self,
        writes: Sequence[UnconfirmedWrite],
    ) -> set[tuple[str, str]]:
        """By user id the attributes of which the directory does not hold what was sent, and what it shows.

        It may compare where the write has arrived, and show where it has not.
        """
        questions: list[Question] = []
        for write in writes:
            user = write.change.user
            for each in write.respellings:
                name = each.sent.name
                questions += [Question(user, name, value) for value in each.asked]
        answers = self._directory.holds(questions)
        return {
            (question.user.id, question.attribute)
            for question, answer in zip(questions, answers, strict=True)
            if answer is not Holds.SAME
        }

    def _judge_first(
        self,
        write: UnconfirmedWrite,
        unequal: set[tuple[str, str]],
    ) -> JudgedWrite | None:
        """Whose the values are by comparing and by the answer; None: nothing tells."""
        left = [
            each
            for each in write.respellings
            if not each.asked or (write.change.user.id, each.sent.name) in unequal
        ]
        if write.has_stood:
            is_equal = not left and self._still_stands(write)
            return self._take_as_ours(write) if is_equal else None
        elses = [each for each in left if self._is_ours(write, each) is False]
        if elses:
            return write.tell_conflict(elses)
        if all(self._is_ours(write, each) for each in left):
            return self._take_as_ours(write)
        return None

    def _is_ours(
        self,
        write: UnconfirmedWrite,
        each: Respelling,
    ) -> bool | None:
        """Whether the answer showed what stands, or an earlier write brought the same; None: nothing tells."""
        answered = write.answered
        if answered is not None and answered.values.get(each.sent.name):
            return self._holds(answered, each.stored)
        return None if each.sent.replaced is None else True

    def _still_stands(self, write: UnconfirmedWrite) -> bool:
        """Whether reading shows the same still: a replica that lagged may have caught up before it compared."""
        users = self._directory.read([write.change.user], disabled=True)
        return any(
            all(self._holds(user, each.stored) for each in write.respellings)
            for user in list(users)
        )

    def _write_again(self, writes: Sequence[UnconfirmedWrite]) -> Iterator[JudgedWrite]:
        """Send once more what was sent: if the same stands again, the directory spells it so."""
        seconds = []
        for write in writes:
            attributes = [
                replace(each.sent, old=each.stored.new) for each in write.respellings
            ]
            seconds.append(replace(write.change, attributes=tuple(attributes)))
        results = {
            outcome.user.id: outcome for outcome in self._directory.write(seconds)
        }
        read = self._directory.read([each.user for each in seconds], disabled=True)
        users = {user.id: user for user in read}
        for write in writes:
            user = write.change.user.id
            yield self._judge_second(write, results[user], users.get(user))

    def _judge_second(
        self,
        write: UnconfirmedWrite,
        second: Outcome,
        user: User | None,
    ) -> JudgedWrite:
        """Whose the values are by what stands after the second write."""
        if user is None or second.result in _REFUSED:
            return write.change, replace(write.outcome, may_stand=second.is_open)
        elses = [
            each for each in write.respellings if not self._holds(user, each.stored)
        ]
        if second.result is not Result.WRITTEN:
            return write.tell_conflict(elses or write.respellings)
        if not elses:
            return self._take_as_ours(write)
        back = [
            replace(each.sent, old=_find_held(user, each.sent), new=each.stored.new)
            for each in elses
        ]
        change = replace(write.change, attributes=tuple(back))
        for put in self._directory.write([change]):
            if put.result in _REFUSED:
                names = ", ".join(each.sent.name for each in elses)
                why = _REPLACED.format(names=names, why=put.why)
                return write.change, replace(write.outcome, why=why)
        return write.tell_conflict(elses)

    def _take_as_ours(self, write: UnconfirmedWrite) -> JudgedWrite:
        """Written, unless somebody else holds what the directory has made of a single-holder value."""
        change = write.change
        stored = {each.sent.name: each.stored for each in write.respellings}
        names = ", ".join(stored)
        holder = self._find_holder(write)
        if holder:
            why = _TAKEN.format(names=names, holder=holder)
            return change, replace(write.outcome, why=why)
        attributes = [stored.get(each.name, each) for each in change.attributes]
        spelt = [
            StoredValues(each.name, () if each.secret else each.new)
            for each in stored.values()
        ]
        why = _STORED.format(names=names)
        outcome = Outcome(change.user, Result.WRITTEN, why, stored=tuple(spelt))
        return replace(change, attributes=tuple(attributes)), outcome

    def _find_holder(self, write: UnconfirmedWrite) -> str:
        """The name of another user that holds a single-holder value as it is stored; empty: none does."""
        for each in write.respellings:
            stored = each.stored
            if not stored.unique:
                continue
            keys = [(stored.name, equality.plain_text(one)) for one in stored.new]
            for other in self._directory.find(keys):
                held = _find_held(other, stored)
                is_held = self._subtract(stored, stored.new, held) != stored.new
                if other.id != write.change.user.id and is_held:
                    return other.name
        return ""

    def _holds(
        self,
        user: User,
        each: AttributeChange,
    ) -> bool:
        """Whether a user holds, of the values that are ours, exactly what a change sets."""
        rule = self._description.equality(each.name)
        return equality.same_set(rule, _find_held(user, each), each.new)

    def _subtract(
        self,
        each: AttributeChange,
        some: tuple[Held, ...],
        others: tuple[Held, ...],
    ) -> tuple[Held, ...]:
        rule = self._description.equality(each.name)
        return equality.subtract_equal(rule, some, others)


def _find_held(
    user: User,
    each: AttributeChange,
) -> tuple[Held, ...]:
    """The values of an attribute that are the job's to write."""
    return owned_values(each.pattern, user.values.get(each.name, ()))
