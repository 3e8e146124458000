"""Reading back: what the server said yes to is *written*, unless the directory shows otherwise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from connector.apply.respelling import RespeltWrite, SpellingJudge
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
_Judged = tuple[Change, Outcome]


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
        settling: SettleTime | None = None,
        fingerprint: Fingerprint | None = None,
    ) -> None:
        self._directory = directory
        self._spelling = SpellingJudge(
            directory, description, fingerprint or (lambda user, name, value: "")
        )
        self._suspects: dict[str, RespeltWrite] = {}
        self._stood: dict[str, RespeltWrite] = {}
        """Suspects whose value was there before the write."""
        self._answered: dict[str, User] = {}
        self._settling = settling or SettleTime()
        self._description = description
        self._unconfirmed: list[tuple[Change, User | None]] = []
        self._notes: dict[str, str] = {}
        self._sample = _SAMPLE
        self.blind: str | None = None
        """Why nothing could be read back, if so."""
        self._shown = 0
        self._hidden = 0

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
        asks = False
        if shown is not None and self._sample:
            self._sample -= 1  # it is read anew
        elif _list_lost(
            change,
            shown,
            self._description,
            {},
        ):
            self._hidden += 1
            asks = bool(_make_questions(change, shown))
        else:
            return Outcome(change.user, Result.WRITTEN, outcome.why)
        self._notes[change.user.id] = outcome.why
        if shown is not None and outcome.answered:
            self._answered[change.user.id] = shown
        self._unconfirmed.append((change, shown if asks else None))
        return None

    def read_back(self) -> Iterator[_Judged]:
        """Read the users that were not shown, ask about what is hidden of any, and say what became of them."""
        changes = [change for change, _ in self._unconfirmed]
        shown = {user.id: user for _, user in self._unconfirmed if user is not None}
        try:
            found = self._look_at(changes, shown)
        except IncompleteRead as fault:
            self.blind = f"the written values could not be read back: {fault}"
            why = f"the server confirmed the write; not read back: {fault}"
            for change in changes:
                yield change, Outcome(change.user, Result.WRITTEN, why)
            return
        done, late = self._sort_found(found)
        yield from done
        hope = any(self._settling.hopes_for(outcome.lost) for _, outcome in late)
        for _ in self._settling.wait_for_looks() if hope else ():
            try:
                found = self._look_at([change for change, _ in late], {})
            except IncompleteRead as fault:
                self.blind = f"the written values could not be read back: {fault}"
                yield from (_stop_waiting(*each, str(fault)) for each in late)
                return
            done, late = self._sort_found(found)
            yield from done
            if not late:
                return
        if self._stood:  # only now: until then, who reads may see the user as it was
            done, late = self._judge_spelling(self._stood, late)
            yield from done
        cut = self._settling.stopped_by if self._settling.seconds else ""
        # after a stop nobody waits anyway
        self._settling.gave_up(name for _, outcome in late for name in outcome.lost)
        yield from (_stop_waiting(*each, cut) if cut else each for each in late)

    def _sort_found(self, found: list[_Judged]) -> tuple[list[_Judged], list[_Judged]]:
        """Those that were written, or whose values are spelt otherwise; and the others."""
        done: list[_Judged] = []
        late: list[_Judged] = []
        for change, outcome in found:
            seen = [each.name for each in change.attributes if each.new]
            self._settling.note_shown(name for name in seen if name not in outcome.lost)
            is_written = outcome.result is Result.WRITTEN
            (done if is_written else late).append((change, outcome))
        suspects, self._suspects, self._stood = self._suspects, {}, {}
        respelt = dict[str, RespeltWrite]()
        for user, suspect in suspects.items():
            (self._stood if suspect.stood else respelt)[user] = suspect
        if respelt:
            judged, late = self._judge_spelling(respelt, late)
            done += judged
        return done, late

    def _judge_spelling(
        self,
        suspects: Mapping[str, RespeltWrite],
        late: list[_Judged],
    ) -> tuple[list[_Judged], list[_Judged]]:
        """What became of writes whose values stand in another spelling, or have been changed by somebody.

        And those of the `late` ones of which nothing tells yet.
        """
        judged: list[_Judged] = []
        waiting, respelt = dict(suspects), set[str]()
        again = not self._settling.stopped_by
        try:
            for change, outcome in self._spelling.judge_writes(
                [*suspects.values()], again=again
            ):
                del waiting[change.user.id]
                respelt.update(each.name for each in outcome.stored)
                judged.append((change, outcome))
        except IncompleteRead as fault:
            judged += [
                _stop_waiting(each.change, each.outcome, str(fault))
                for each in waiting.values()
            ]
        if respelt:
            log.warning(
                "the server stores another spelling than it was sent",
                attributes=sorted(respelt),
            )
        told = {change.user.id for change, _ in judged}
        return judged, [each for each in late if each[0].user.id not in told]

    def _look_at(
        self,
        written: Collection[Change],
        shown: Mapping[str, User],
    ) -> list[_Judged]:
        """What became of changes, by users as they are now, but for those that were `shown`. Raises IncompleteRead."""
        users = dict(shown)
        unshown = [change.user for change in written if change.user.id not in shown]
        for user in self._directory.read(unshown, disabled=True):
            users[user.id] = user
        unseen: list[Question] = []
        for change in written:
            unseen += _make_questions(change, users.get(change.user.id))
        answers = {
            (question.user.id, question.attribute): answer
            for question, answer in zip(
                unseen, self._directory.holds(unseen), strict=True
            )
        }
        return [
            (change, self._confirm_change(change, users.get(change.user.id), answers))
            for change in written
        ]

    def _confirm_change(
        self,
        change: Change,
        user: User | None,
        answers: Mapping[tuple[str, str], Holds],
    ) -> Outcome:
        """*Written* where the user shows all that was written, else *failed*."""
        lost = _list_lost(
            change,
            user,
            self._description,
            answers,
        )
        if not lost:
            return Outcome(change.user, Result.WRITTEN, self._notes[change.user.id])
        why = f"the server confirmed the write, but does not show {', '.join(lost)} as written"
        if user is None:
            return Outcome(
                change.user,
                Result.FAILED,
                why,
                may_stand=True,
            )
        if any(
            each.name in lost and each.new and each.pattern not in (None, ALL)
            for each in change.attributes
        ):
            why += ". If it stores another spelling, `owns` has to take that too"
        outcome = Outcome(
            change.user,
            Result.FAILED,
            why,
            lost=tuple(lost),
        )
        suspect = self._spelling.find_suspect(
            change, user, outcome, self._answered.get(user.id)
        )
        if suspect is not None:
            self._suspects[user.id] = suspect
        return outcome


def find_changed_names(
    conflicts: Sequence[Change],
    directory: Directory,
    description: Description,
) -> dict[str, tuple[str, ...]]:
    """By user the attributes that are not as its change expects, as far as reading it once more tells."""
    by_user = {change.user.id: change for change in conflicts}
    refs = [change.user for change in conflicts]
    try:
        users = list(directory.read(refs, disabled=True)) if refs else []
    except IncompleteRead:
        return {}
    names = dict[str, tuple[str, ...]]()
    for user in users:
        if user.id in by_user:
            names[user.id] = tuple(
                each.name
                for each in by_user[user.id].attributes
                if not _is_as_before(each, user, description)
            )
    return names


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


def _stop_waiting(
    change: Change,
    outcome: Outcome,
    why: str,
) -> _Judged:
    """What is not seen yet may be there later."""
    said = f"{outcome.why}; it may show later. Not awaited: {why}"
    return change, Outcome(
        change.user,
        Result.FAILED,
        said,
        may_stand=True,
    )


def _make_questions(
    change: Change,
    user: User | None,
) -> list[Question]:
    """About the secrets that the user does not show."""
    if user is None:
        return []
    return [
        Question(change.user, each.name, next(iter(each.new)))
        for each in change.attributes
        if each.secret and each.new and each.name not in user.values
    ]


def _list_lost(
    change: Change,
    user: User | None,
    description: Description,
    answers: Mapping[tuple[str, str], Holds],
) -> list[str]:
    """The attributes that do not hold what was written; a secret that can be neither read nor compared passes."""
    if user is None:
        return ["the entry (it is gone, or outside base and filter)"]
    lost = []
    for each in change.attributes:
        if not answers and not each.old and user.values.get(each.name, ()) == each.new:
            continue  # as nearly always
        answer = answers.get((user.id, each.name))
        if answer is not None:
            stuck = answer in (Holds.SAME, Holds.UNKNOWN)
        else:
            stuck = change_stands(each, user.values.get(each.name, ()), description)
        if not stuck:
            lost.append(each.name)
    return lost
