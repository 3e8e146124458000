"""Reading back: what the server said yes to is *written*, unless the directory shows otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.apply.respelling import JudgedWrite, SpellingJudge, UnconfirmedWrite
from connector.directories.port import Directory
from connector.errors import IncompleteRead
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Fingerprint,
    Holds,
    Outcome,
    Question,
    Result,
    User,
    equality,
)
from connector.model.patterns import ALL, owned_values
from connector.planning.standing import change_stands
from connector.runtime.log import log
from connector.runtime.stopping import SettleTime

_SAMPLE: Final = 8
"""So many users of a batch are read back although the directory has shown them."""
_ENTRY: Final = "the entry (it is gone, or outside base and filter)"
_Answers = Mapping[tuple[str, str], Holds]
"""By user id and attribute, whether it holds the secret that was written."""


class ReadBack:
    """Judges what was written by what is there.

    An answer that shows the user as written is believed as it comes. All else is read back
    when all is written, for an answer may come through a proxy that takes values away. So
    are a few that were shown: they tell whether readers see the same. What reading does not
    show at first is looked for again while `settling`.
    """

    def __init__(
        self,
        directory: Directory,
        description: Description,
        settling: SettleTime,
        fingerprint: Fingerprint,
    ) -> None:
        self._directory = directory
        self._description = description
        self._settling = settling
        self._spelling = SpellingJudge(directory, description, fingerprint)
        self._unconfirmed: list[UnconfirmedWrite] = []
        self._sample = _SAMPLE
        self._shown = 0
        self._hidden = 0
        self.blind: str | None = None
        """Why nothing could be read back, if so."""

    def begin_batch(self) -> bool:
        """Whether all that was written so far was shown, so that nothing is to be waited for before the next batch."""
        self._sample = _SAMPLE
        return self._shown > 0 and self._hidden == 0

    def judge_answer(
        self,
        change: Change,
        outcome: Outcome,
    ) -> Outcome | None:
        """The outcome as far as the answer tells it; None where the user is to be read back."""
        shown = outcome.shown
        if outcome.result is not Result.WRITTEN:
            return replace(outcome, shown=None)
        self._shown += shown is not None
        written, asked = Outcome(change.user, Result.WRITTEN, outcome.why), None
        if shown is not None and self._sample:
            self._sample -= 1  # it is read anew
        elif self._list_lost(change, shown, {}):
            self._hidden += 1
            if _make_questions(change, shown):
                asked = shown
        else:
            return written
        answered = shown if outcome.answered else None
        self._unconfirmed.append(
            UnconfirmedWrite(change, written, written, asked, answered)
        )
        return None

    def read_back(self) -> Iterator[JudgedWrite]:
        """Read the users that were not shown, ask about what is hidden of any, and say what became of them."""
        late = self._unconfirmed
        try:
            for _ in chain((None,), self._settling.wait_for_looks()):
                judged, late = self._look_at(late)
                yield from judged
                if not any(
                    self._settling.hopes_for(each.outcome.lost) for each in late
                ):
                    break
        except IncompleteRead as fault:
            self.blind = f"the written values could not be read back: {fault}"
            for each in late:
                yield each.change, each.give_up(str(fault))
            return
        # only now: until then, who reads may see the user as it was
        judged, late = self._judge_spelling(late, stood=True)
        yield from judged
        # after a stop nobody waits anyway
        cut = self._settling.stopped_by if self._settling.seconds else ""
        for each in late:
            self._settling.gave_up(each.outcome.lost)
            yield each.change, each.give_up(cut) if cut else each.outcome

    def _look_at(
        self,
        writes: Sequence[UnconfirmedWrite],
    ) -> tuple[list[JudgedWrite], list[UnconfirmedWrite]]:
        """What became of writes, by users as they are now, and those that do not show yet. Raises IncompleteRead."""
        users = {each.change.user.id: each.asked for each in writes if each.asked}
        unshown = [each.change.user for each in writes if not each.asked]
        users |= {
            user.id: user for user in self._directory.read(unshown, disabled=True)
        }
        questions: list[Question] = []
        for each in writes:
            questions += _make_questions(each.change, users.get(each.change.user.id))
        answers = {
            (question.user.id, question.attribute): answer
            for question, answer in zip(
                questions, self._directory.holds(questions), strict=True
            )
        }
        judged: list[JudgedWrite] = []
        late: list[UnconfirmedWrite] = []
        for each in writes:
            change, user = each.change, users.get(each.change.user.id)
            lost = self._list_lost(change, user, answers)
            seen = [one.name for one in change.attributes if one.new]
            self._settling.note_shown(name for name in seen if name not in lost)
            if lost:
                late.append(self._describe_lost(each, user, lost))
            else:
                judged.append((change, each.written))
        respelt, late = self._judge_spelling(late, stood=False)
        return [*judged, *respelt], late

    def _describe_lost(
        self,
        write: UnconfirmedWrite,
        user: User | None,
        lost: Sequence[str],
    ) -> UnconfirmedWrite:
        """*Failed*, unless it shows later, or is spelt otherwise."""
        change = write.change
        why = f"the server confirmed the write, but does not show {', '.join(lost)} as written"
        if user is None:
            failed = Outcome(change.user, Result.FAILED, why, may_stand=True)
            return replace(write, outcome=failed, asked=None, respellings=())
        if any(
            each.name in lost and each.new and each.pattern not in (None, ALL)
            for each in change.attributes
        ):
            why += ". If it stores another spelling, `owns` has to take that too"
        failed = Outcome(change.user, Result.FAILED, why, lost=tuple(lost))
        respellings = self._spelling.find_respellings(change, user, lost)
        return replace(write, outcome=failed, asked=None, respellings=respellings)

    def _judge_spelling(
        self,
        late: list[UnconfirmedWrite],
        *,
        stood: bool,
    ) -> tuple[list[JudgedWrite], list[UnconfirmedWrite]]:
        """What became of writes whose values are spelt otherwise or changed by somebody, and those still open."""
        respelt = [
            each for each in late if each.respellings and each.has_stood is stood
        ]
        if not respelt:
            return [], late
        again = not self._settling.stopped_by
        judged = self._spelling.judge_writes(respelt, again=again)
        names: set[str] = set()
        for _, outcome in judged:
            names.update(each.name for each in outcome.stored)
        if names:
            said = "the server stores another spelling than it was sent"
            log.warning(said, attributes=sorted(names))
        told = {change.user.id for change, _ in judged}
        return judged, [each for each in late if each.change.user.id not in told]

    def _list_lost(
        self,
        change: Change,
        user: User | None,
        answers: _Answers,
    ) -> list[str]:
        """The attributes that do not hold what was written; a secret that can be neither read nor compared passes."""
        if user is None:
            return [_ENTRY]
        lost = []
        for each in change.attributes:
            held = user.values.get(each.name, ())
            if not answers and not each.old and held == each.new:
                continue  # as nearly always
            answer = answers.get((user.id, each.name))
            if answer is None:
                is_there = change_stands(each, held, self._description)
            else:
                is_there = answer in (Holds.SAME, Holds.UNKNOWN)
            if not is_there:
                lost.append(each.name)
        return lost


def find_changed_names(
    conflicts: Sequence[Change],
    directory: Directory,
    description: Description,
) -> dict[str, tuple[str, ...]]:
    """By user the attributes that are not as its change expects, as far as reading it once more tells."""
    refs = [change.user for change in conflicts]
    try:
        users = {user.id: user for user in directory.read(refs, disabled=True)}
    except IncompleteRead:
        return {}
    return {
        change.user.id: tuple(
            each.name
            for each in change.attributes
            if not _is_as_before(each, users[change.user.id], description)
        )
        for change in conflicts
        if change.user.id in users
    }


def _is_as_before(
    each: AttributeChange,
    user: User,
    description: Description,
) -> bool:
    """Whether the user holds the old values, as far as that can be told. Classes that others add do not count."""
    rule, held = description.equality(each.name), user.values.get(each.name, ())
    if not each.seen:
        return True
    if each.name == OBJECT_CLASS:
        return not equality.subtract_equal(rule, each.old, held)
    return equality.same_set(rule, owned_values(each.pattern, held), each.old)


def _make_questions(
    change: Change,
    user: User | None,
) -> Iterable[Question]:
    """About the secrets that the user does not show."""
    if user is None:
        return ()
    return [
        Question(change.user, each.name, next(iter(each.new)))
        for each in change.attributes
        if each.secret and each.new and each.name not in user.values
    ]
