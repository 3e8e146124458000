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

_REFUSED: Final = (Result.FAILED, Result.SKIPPED)
Pair = tuple[AttributeChange, AttributeChange]
"""An attribute as it was sent, and as it is stored."""
_STORED: Final = "the server stores {names} in another spelling"
_ELSES: Final = "another program wrote {names} just after this job; that value stays"
_REPLACED: Final = (
    "another program wrote {names} just after this job, which has replaced that value. "
    "It cannot be put back: {why}"
)
_TAKEN: Final = "the server stores {names} as a value that {holder} has too. Give one of them another value"


class RespeltWrite(Struct, frozen=True):
    """A write whose values are not shown as they were sent."""

    change: Change
    outcome: Outcome
    """What it came to if nothing tells whose the values are."""
    pairs: tuple[Pair, ...]
    """The attributes that are not shown as they were sent."""
    answered: User | None
    """The user as the answer to the write showed it; None where it did not."""
    stood: bool = False
    """Whether a value that stands was there before the write."""

    def tell_conflict(self, names: Sequence[str]) -> tuple[Change, Outcome]:
        """Somebody else wrote these attributes; the others are as written."""
        why = _ELSES.format(names=", ".join(names))
        return self.change, Outcome(
            self.change.user, Result.CONFLICT, why, lost=tuple(names)
        )


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

    def find_suspect(
        self,
        change: Change,
        user: User,
        outcome: Outcome,
        answered: User | None,
    ) -> RespeltWrite | None:
        """The write, if all attributes that are `lost` may be spelt otherwise; None if one of them may not."""
        pairs, stood = [], False
        for planned in change.attributes:
            if planned.name not in outcome.lost:
                continue
            held, each = _find_held(user, planned), planned
            if not self._holds_wanted(user, replace(planned, new=planned.old)):
                # this write has not brought the same again
                each = replace(planned, replaced=None)
            missing, come = (
                self._subtract_values(each, each.new, held),
                self._subtract_values(each, held, each.new),
            )
            before = each.old if each.replaced is None else each.replaced
            if not missing or len(missing) != len(come) or each.name == OBJECT_CLASS:
                return None
            stood = stood or self._subtract_values(each, come, before) != come
            stored = replace(
                each,
                old=before,
                new=held,
                sent=each.new,
            )
            if each.secret:
                stored = replace(
                    stored,
                    sent=(each.fingerprint,),
                    fingerprint=self._key(user.ref, each.name, held[0]),
                )
            pairs.append((each, stored))
        return RespeltWrite(
            change,
            outcome,
            tuple(pairs),
            answered,
            stood,
        )

    def judge_writes(
        self,
        found: Sequence[RespeltWrite],
        *,
        again: bool,
    ) -> Iterator[tuple[Change, Outcome]]:
        """Say of each write whose its values are. Raises IncompleteRead. `again`: one may be sent once more.

        Nothing is said where a value stood before and does not compare equal: the write may
        not show yet.
        """
        asked = [question for each in found for question in self._make_questions(each)]
        answers = zip(asked, self._directory.holds(asked), strict=True)
        unequal = {
            (each.user.id, each.attribute)
            for each, answer in answers
            if answer is not Holds.SAME
        }
        unknown = []
        for each in found:
            left = [
                pair
                for pair in each.pairs
                if pair[0].secret or (each.change.user.id, pair[0].name) in unequal
            ]
            if each.stood and (left or not self._still_stands(each)):
                continue
            verdicts = {
                sent.name: self._is_ours(each, sent, stored) for sent, stored in left
            }
            elses = [name for name, verdict in verdicts.items() if verdict is False]
            if elses:
                yield each.tell_conflict(elses)
            elif all(verdicts.values()):
                yield self._take_as_ours(each)
            elif again:
                unknown.append(each)
            else:
                yield each.change, each.outcome
        if unknown:
            yield from self._write_again(unknown)

    def _make_questions(self, each: RespeltWrite) -> Iterator[Question]:
        """Whether the directory holds what was sent; of a value that stood before, also whether it holds that still.

        Else it may compare where the write has arrived, and show where it has not.
        """
        for sent, stored in each.pairs:
            if sent.secret:
                continue
            values = self._subtract_values(sent, sent.new, stored.new)
            if each.stood:
                values = (*values, *self._subtract_values(sent, stored.new, sent.new))
            yield from (
                Question(each.change.user, sent.name, value) for value in values
            )

    def _is_ours(
        self,
        each: RespeltWrite,
        sent: AttributeChange,
        stored: AttributeChange,
    ) -> bool | None:
        """Whether the answer showed what stands, or an earlier write brought the same; None: nothing tells."""
        if each.answered is not None and each.answered.values.get(sent.name):
            return self._holds_wanted(each.answered, stored)
        return None if sent.replaced is None else True

    def _still_stands(self, each: RespeltWrite) -> bool:
        """Whether reading shows the same still: a replica that lagged may have caught up before it compared."""
        users = [*self._directory.read([each.change.user], disabled=True)]
        return any(
            all(self._holds_wanted(user, stored) for _, stored in each.pairs)
            for user in users
        )

    def _write_again(
        self, found: Sequence[RespeltWrite]
    ) -> Iterator[tuple[Change, Outcome]]:
        """Send once more what was sent: if the same stands again, the directory spells it so."""
        seconds = [
            _replace_attributes(
                each, [replace(sent, old=stored.new) for sent, stored in each.pairs]
            )
            for each in found
        ]
        results = {
            outcome.user.id: outcome for outcome in self._directory.write(seconds)
        }
        refs = [each.user for each in seconds]
        read = self._directory.read(refs, disabled=True)
        users = {user.id: user for user in read}
        for each in found:
            id_ = each.change.user.id
            yield self._judge_second(each, results[id_], users.get(id_))

    def _judge_second(
        self,
        each: RespeltWrite,
        outcome: Outcome,
        user: User | None,
    ) -> tuple[Change, Outcome]:
        """Whose the values are by what stands after the second write."""
        if user is None or outcome.result in _REFUSED:
            return each.change, replace(each.outcome, may_stand=outcome.is_open)
        elses = [pair for pair in each.pairs if not self._holds_wanted(user, pair[1])]
        if outcome.result is not Result.WRITTEN:
            return each.tell_conflict([sent.name for sent, _ in elses or each.pairs])
        if not elses:
            return self._take_as_ours(each)
        back = [
            replace(sent, old=_find_held(user, sent), new=stored.new)
            for sent, stored in elses
        ]
        names = [sent.name for sent, _ in elses]
        for put in self._directory.write([_replace_attributes(each, back)]):
            if put.result in _REFUSED:
                why = _REPLACED.format(names=", ".join(names), why=put.why)
                return each.change, replace(each.outcome, why=why)
        return each.tell_conflict(names)

    def _take_as_ours(self, each: RespeltWrite) -> tuple[Change, Outcome]:
        """Written, unless somebody else holds what the directory has made of a single-holder value."""
        user, names = each.change.user, ", ".join(sent.name for sent, _ in each.pairs)
        unique = [stored for _, stored in each.pairs if stored.unique]
        keys = [
            (stored.name, equality.plain_text(value))
            for stored in unique
            for value in stored.new
        ]
        for other in self._directory.find(keys) if keys else ():
            if other.id != user.id and any(
                self._subtract_values(one, one.new, _find_held(other, one)) != one.new
                for one in unique
            ):
                return each.change, replace(
                    each.outcome, why=_TAKEN.format(names=names, holder=other.name)
                )
        stored = {one.name: one for _, one in each.pairs}
        spelt = tuple(
            StoredValues(one.name, () if one.secret else one.new)
            for one in stored.values()
        )
        change = _replace_attributes(
            each, [stored.get(one.name, one) for one in each.change.attributes]
        )
        return change, Outcome(
            user, Result.WRITTEN, _STORED.format(names=names), stored=spelt
        )

    def _holds_wanted(
        self,
        user: User,
        each: AttributeChange,
    ) -> bool:
        """Whether a user holds, of the values that are ours, exactly what a change sets."""
        return equality.same_set(
            self._description.equality(each.name), _find_held(user, each), each.new
        )

    def _subtract_values(
        self,
        each: AttributeChange,
        some: tuple[Held, ...],
        others: tuple[Held, ...],
    ) -> tuple[Held, ...]:
        return equality.subtract_equal(
            self._description.equality(each.name), some, others
        )


def _replace_attributes(
    each: RespeltWrite,
    attributes: Sequence[AttributeChange],
) -> Change:
    """A write of these attributes in place of its own."""
    return replace(each.change, attributes=tuple(attributes))


def _find_held(
    user: User,
    each: AttributeChange,
) -> tuple[Held, ...]:
    """The values of an attribute that are the job's to write."""
    return owned_values(each.pattern, user.values.get(each.name, ()))
