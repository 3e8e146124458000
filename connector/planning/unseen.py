"""What the directory has to compare: values that are spelt otherwise than they are there, and what users do not show.

Secrets are not shown, nor are attributes that may be hidden from us. Of each attribute
whose absence may be an access rule's, a sample of those who are to get a first value is
asked about. Where nobody has one, that is all it costs.

    all of the sample have none ──> everybody is planned for
    nothing tells of any of them ─> unreadable: held back for everybody, and said once
    else ─────────────────────────> everybody is asked, and held back where there is a value, or nothing tells

Where everybody turns out to have a value, and nobody shows it, that is said once as well.
What some user shows is never unreadable for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import (
    AttributeChange,
    Description,
    Holds,
    Problem,
    Question,
    Secret,
    equality,
)
from connector.model.draft import Draft, Kept
from connector.planning.brief import PlanBrief, Slot

PROBES = 10
"""So many users are asked about an attribute that may be hidden; if one of them hides it,
all are asked."""
_UNREADABLE = "cannot be read by this account; skipped"
_HIDDEN = "has a value that this account cannot read; skipped"
_UNTOLD = "shows no value to this account, which may be hidden; skipped"


def judge_alike(
    directory: Lookup,
    drafts: Collection[Draft],
    brief: PlanBrief,
) -> None:
    """Take for in step what the directory takes for the same, though not every server would."""
    same: dict[Slot, bool] = {}
    for question, answer in directory.compare(_list_respelt(drafts, brief.description)):
        slot = question.user.id, question.attribute
        same[slot] = same.get(slot, True) and answer is Holds.SAME
    for draft in drafts if same else ():
        draft.planned = tuple(
            [each for each in draft.planned if not same.get((draft.user.id, each.name))]
        )


def _list_respelt(
    drafts: Iterable[Draft], description: Description
) -> Iterator[Question]:
    for draft in drafts:
        for each in draft.planned:
            if each.old and not each.secret:
                rule = description.equality(each.name)
                if equality.are_alike(
                    rule,
                    each.old,
                    each.new,
                ):
                    respelt = equality.subtract_equal(
                        rule,
                        each.new,
                        each.old,
                    )
                    yield from (
                        Question(
                            draft.user,
                            each.name,
                            value,
                        )
                        for value in respelt
                    )


class UnseenValues(Struct, dict=True):
    """Asks about what drafts do not see, and gives it verdicts."""

    brief: PlanBrief
    drafts: Sequence[Draft]
    unreadable: dict[str, Problem] = {}
    """By attribute the one line for everybody."""
    unverified: dict[str, list[str]] = {}
    """By attribute, whose secrets nothing tells of but what was written last: their ids."""
    confirmed: dict[Slot, str] = {}
    """The fingerprint of each secret that was compared and found there; empty where it is to be gone, and is."""
    denied: dict[Slot, str] = {}
    """Likewise, of what was compared and is not there."""

    def judge_drafts(self, directory: Lookup, shown: Collection[str]) -> None:
        """Judge what is planned. `shown`: attributes that some user showed a value of."""
        rules, infos = self.brief.mapping.attributes, self.brief.description.attributes
        hidden = {
            rule.name
            for rule in rules
            if infos[rule.name].readable is None and not rule.secret
        }
        questions = list(self._list_questions(hidden))
        answers = _ask_directory(directory, _sample_questions(questions, hidden))
        unshown = hidden.difference(shown)
        silent = {
            name for name in unshown if _answers_about(answers, name) == {Holds.UNKNOWN}
        }
        doubtful = {
            name
            for name in hidden - silent
            if _answers_about(answers, name) - {Holds.ABSENT}
        }
        others = (each for each in questions if each.attribute in doubtful)
        answers |= _ask_directory(
            directory,
            [each for each in others if (each.user.id, each.attribute) not in answers],
        )
        silent |= {
            name
            for name in doubtful & unshown
            if Holds.ABSENT not in _answers_about(answers, name)
        }
        for name in silent:
            self.unreadable[name] = Problem(
                "unreadable",
                f"{name} {_UNREADABLE}",
                attribute=name,
            )
        if doubtful or silent or any(rule.secret for rule in rules):
            for draft in self.drafts:
                self._judge_draft(draft, answers)

    def describe_unverified(self) -> str:
        """Secrets that are believed to be there as they were written last, for nobody can read or compare them."""
        said = []
        for name, users in self.unverified.items():
            days = self.brief.memory.days_of_writes(users, name)
            when = " by runs that were pruned"
            if days:
                when = f" on {' to '.join(dict.fromkeys((days[0], days[-1])))}"
            said.append(
                f"{name} of {len(users):,} users, last written{when}: not read or compared here"
            )
        return "; ".join(said)

    def _list_questions(self, hidden: Collection[str]) -> Iterator[Question]:
        """What to ask about secrets, and about hidden attributes, of which a user shows no value."""
        for draft in self.drafts:
            for change in draft.planned:
                # neither ours nor anybody's is shown
                is_first = not change.old and change.name not in draft.shows
                if change.secret and not change.seen:
                    value = change.new[0] if change.new else Secret("-")
                    yield Question(
                        draft.user,
                        change.name,
                        value,
                    )
                elif change.name in hidden and is_first:
                    yield Question(
                        draft.user,
                        change.name,
                        change.new[0],
                    )
            for kept in draft.keeps:
                if isinstance(kept.probe, Secret) or (
                    kept.probe and kept.name in hidden
                ):
                    yield Question(
                        draft.user,
                        kept.name,
                        kept.probe,
                    )

    def _is_staying(
        self,
        draft: Draft,
        kept: Kept,
        answers: Mapping[Slot, Holds],
    ) -> bool:
        """Whether a value that stays is there, also unseen; where nothing tells of a secret, whether we wrote one."""
        if kept.probe is None or kept.name in self.unreadable:
            return True
        answer = answers.get((draft.user.id, kept.name), Holds.ABSENT)
        if answer is Holds.UNKNOWN and isinstance(kept.probe, Secret):
            return bool(self.brief.memory.fingerprint_of(draft.user.id, kept.name))
        return answer is not Holds.ABSENT

    @cached_property
    def _doubtful_slots(self) -> frozenset[Slot]:
        """What may not be as it was written last: nobody knows whether a later write there happened."""
        open_ = self.brief.memory.read_unsettled()
        return frozenset(
            (each.user.id, name) for each in open_ for name in each.attributes
        )

    def _judge_draft(self, draft: Draft, answers: Mapping[Slot, Holds]) -> None:
        draft.keeps = tuple(
            kept
            for kept in draft.keeps
            if self._is_staying(
                draft,
                kept,
                answers,
            )
        )
        planned: list[AttributeChange] = []
        for change in draft.planned:
            answer = answers.get((draft.user.id, change.name))
            if change.secret:
                planned += self._judge_secret(
                    draft,
                    answer,
                    change,
                )
            elif change.name in self.unreadable:
                draft.held += (self.unreadable[change.name],)
            elif answer in (None, Holds.ABSENT):
                planned.append(change)
            else:
                why = _UNTOLD if answer is Holds.UNKNOWN else _HIDDEN
                why = f"{change.name} {why}"
                draft.held += (
                    draft.problem(
                        "unreadable",
                        why,
                        change.name,
                    ),
                )
        draft.planned = tuple(planned)
        if not draft.news:
            draft.planned = ()

    def _judge_secret(
        self,
        draft: Draft,
        answer: Holds | None,
        change: AttributeChange,
    ) -> Iterator[AttributeChange]:
        """The change, completed; nothing where it is in step."""
        user, description = draft.user, self.brief.description
        slot, print_ = (user.id, change.name), ""
        if change.new:
            print_ = self.brief.fingerprint(
                user,
                change.name,
                change.new[0],
            )
        there = answer is (Holds.SAME if change.new else Holds.ABSENT)
        if answer is Holds.UNKNOWN:
            there = self._wrote_last(slot, print_)
            if there and change.new:
                self.unverified.setdefault(change.name, []).append(user.id)
                if description.writing.replaces:
                    draft.repeats |= {change.name}
                    there = False
        elif there and change.new and not description.attributes[change.name].exact:
            # the server may call another spelling the same
            there = self._wrote_last(slot, print_)
            self.confirmed |= {slot: print_} if there else {}
        else:
            (self.confirmed if there else self.denied)[slot] = print_
        if not there:
            absent = answer is Holds.ABSENT and not change.seen
            yield replace(
                change,
                fingerprint=print_,
                absent=absent,
            )

    def _wrote_last(self, slot: Slot, print_: str) -> bool:
        """Whether this is what was written there last, and nothing since may have happened."""
        last = self.brief.memory.fingerprint_of(*slot) or ""
        return last == print_ and slot not in self._doubtful_slots


def _ask_directory(
    directory: Lookup, questions: Iterable[Question]
) -> dict[Slot, Holds]:
    return {
        (each.user.id, each.attribute): answer
        for each, answer in directory.compare(questions)
    }


def _sample_questions(
    questions: Iterable[Question], hidden: Collection[str]
) -> Iterator[Question]:
    """All questions about secrets, and the first about each hidden attribute."""
    asked: Counter[str] = Counter()
    for question in questions:
        asked[question.attribute] += 1
        if question.attribute not in hidden or asked[question.attribute] <= PROBES:
            yield question


def _answers_about(answers: Mapping[Slot, Holds], name: str) -> set[Holds]:
    return {answer for (_, asked), answer in answers.items() if asked == name}
