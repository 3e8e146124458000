"""Two plans of one job: the one that a reviewer has seen and the one of now, or any two compared.

Planned and still the same: it is written. Planned and now different: a conflict. Already
true: unchanged. New and not reviewed: left for the next plan.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.matching.selection import EVERYBODY, Selection
from connector.model import (
    AGAIN,
    AttributeChange,
    Change,
    EarlierPlan,
    Outcome,
    Plan,
    PlanNews,
    Problem,
    Refusal,
    Result,
    User,
)
from connector.model.digests import digest_of_change, make_readable
from connector.model.limits import (
    CLEAR,
    CLEAR_SHARE,
    CLEAR_USERS,
    EXCLUDE,
    LOST_STATE,
    MATCHED_DROP,
    OF_THE_SOURCE,
    LimitBasis,
    Limits,
    too_many,
)
from connector.planning.brief import PlanBrief
from connector.planning.order import digest_of_rest
from connector.planning.standing import KnownSpellings, ShownUser, change_stands


class HeldPlan(Struct, frozen=True):
    """The changes that may be written, and each other change of either plan with its outcome."""

    changes: tuple[Change, ...]
    left: tuple[tuple[Change, Outcome], ...] = ()

    @property
    def aside(self) -> frozenset[str]:
        """Ids of users whose change was left out on purpose, which leaves nothing undone that was asked for."""
        return frozenset(each.user.id for _, each in self.left if each.aside)


class Progress(Struct, frozen=True):
    """How far an interrupted run of the reviewed plan came, and what runs did since."""

    done: Mapping[str, str] = {}
    """By id the users that it wrote, with what it noted of that. It died before it could show it to anybody."""
    released: Mapping[str, Collection[str]] = {}
    """By id what it let go alone."""
    since: Mapping[str, frozenset[str]] = {}
    """By id the attributes, in small letters, that later runs have written.

    That is not written again: the plan keeps its place among the runs, so that theirs would
    count as the last.
    """


def hold_to(
    directory: Lookup,
    reviewed: Plan,
    fresh: Plan,
    brief: PlanBrief,
    progress: Progress,
    *,
    only: Selection = EVERYBODY,
) -> HeldPlan:
    """Hold the `fresh` plan to the `reviewed` one."""
    planned = {change.user.id: change for change in fresh.changes}
    kept = {
        change.user.id
        for change in reviewed.changes
        if _is_as_reviewed(change, planned.get(change.user.id), progress)
    }
    asked = [each.user for each in reviewed.changes if each.user.id not in kept]
    now = {user.id: user for user in directory.read(asked, disabled=True)}
    spellings = KnownSpellings(brief.memory, brief.fingerprint)
    write: list[Change] = []
    left: list[tuple[Change, Outcome]] = []
    for change in reviewed.changes:
        user, id_ = change.user, change.user.id
        fresh_change = planned.pop(id_, None)
        if id_ in progress.done:
            again = f"; {AGAIN}" if progress.done[id_] == AGAIN else ""
            left.append((change, Outcome(user, Result.WRITTEN, f"{_DONE}{again}")))
        elif only and not only.holds_user(change.agent, user):
            left.append((change, _leave_out(change, LEFT_OUT[0])))
        elif fresh_change is None:
            outcome = _judge_unplanned(change, now.get(id_), brief, spellings)
            left.append((change, outcome))
        elif id_ in kept:
            write.append(fresh_change)
        else:
            left.append((change, _make_conflict(change, fresh_change, progress)))
    new = LEFT_OUT[1] if reviewed.notes.only else NEW
    left += [(change, _leave_out(change, new)) for change in planned.values()]
    return HeldPlan(tuple(write), tuple(left))


LEFT_OUT: Final = ("left out (--only)", "left out: not in this plan")
"""Why a change is not made that somebody wanted to leave out: for this run, or for its plan."""
NEW: Final = "new since the plan was reviewed"
_DONE: Final = "before this run was interrupted"
_SINCE: Final = "a later run wrote these attributes after this plan was begun. Not written. Make a new plan"


def _leave_out(change: Change, why: str) -> Outcome:
    return Outcome(change.user, Result.SKIPPED, why, aside=True)


def _is_as_reviewed(
    reviewed: Change, planned: Change | None, progress: Progress
) -> bool:
    """Whether the same is planned now, and no later run has written any of it."""
    if planned is None or _list_overtaken(planned, progress):
        return False
    released = progress.released.get(reviewed.user.id, ())
    return planned.digest in _list_digests(reviewed, released)


def _list_overtaken(change: Change, progress: Progress) -> list[str]:
    """The attributes of a change that later runs have written."""
    later = progress.since.get(change.user.id, ())
    return [each.name for each in change.attributes if each.name.lower() in later]


def _make_conflict(reviewed: Change, planned: Change, progress: Progress) -> Outcome:
    """Why a change is not written that is no longer as it was reviewed."""
    if _list_overtaken(planned, progress):
        names = _list_overtaken(reviewed, progress)
        why = _SINCE
    else:
        names = _list_changed(reviewed, planned)
        said = ", ".join(names) or "its agent or rule"
        why = (
            f"differs from the reviewed plan in {said}. Not written. Review a new plan"
        )
    return Outcome(reviewed.user, Result.CONFLICT, why, differs=tuple(names))


def _list_changed(reviewed: Change, planned: Change) -> list[str]:
    """The attributes in which two changes of one user differ."""
    before, now = (
        {each.name: _digest_of_attribute(change, each) for each in change.attributes}
        for change in (reviewed, planned)
    )
    return [name for name in before | now if before.get(name) != now.get(name)]


def _digest_of_attribute(change: Change, each: AttributeChange) -> str:
    return digest_of_change(replace(change, agent=None, rule=None, attributes=(each,)))


def _judge_unplanned(
    change: Change,
    user: User | None,
    brief: PlanBrief,
    spellings: KnownSpellings,
) -> Outcome:
    """What became of a reviewed change that is no longer planned: somebody else made it, or something else."""
    why = "no change is planned any more. Not written. The reviewed values are not there: "
    if user is None:
        why += "the user is gone, or outside base and filter"
        return Outcome(change.user, Result.CONFLICT, why)
    names = [
        each.name
        for each in change.attributes
        if not _is_true(each, user, brief, spellings)
    ]
    if names:
        why += ", ".join(names)
        return Outcome(change.user, Result.CONFLICT, why, differs=tuple(names))
    return Outcome(change.user, Result.UNCHANGED, "already has the reviewed value")


def _list_digests(change: Change, released: Collection[str]) -> Iterator[str]:
    """The change's own digest, and that of what is left of it where it is half written: let go, or done in steps."""
    yield change.digest
    if released:
        yield digest_of_rest(change, released)
        left = tuple(each for each in change.attributes if each.name not in released)
        yield digest_of_change(replace(change, attributes=left))


def _is_true(
    each: AttributeChange, user: User, brief: PlanBrief, spellings: KnownSpellings
) -> bool:
    rule, held = brief.description.equality(each.name), user.values.get(each.name, ())
    if spellings.is_in_step(user.ref, each.name, rule, each.new, held):
        return True
    if not each.secret:
        return change_stands(each, user.values.get(each.name, ()), brief.description)
    shown = ShownUser(user, brief.description, brief.fingerprint)
    if shown.shows_whole(each.name):
        return shown.secret_stands(each)
    return (brief.memory.fingerprint_of(user.id, each.name) or "") == each.fingerprint


def find_fresh_refusals(
    reviewed: Plan, fresh: Plan, limits: Limits, *, some: bool = False
) -> Iterable[Refusal]:
    """What refuses the fresh plan and did not refuse the one that was reviewed, or not as much.

    How many agents, or their users, have gone is judged by what was read now. What the plan
    would change was judged with it, and is judged anew where `limits` have been lowered
    since. Whoever accepted a refusal accepted the limit as it was: a lower one refuses
    again. `some`: some agents' changes alone are to be written, which no drop of users is
    in the way of.
    """
    accepted = {refusal.limit: refusal for refusal in reviewed.refusals}
    judged = [
        limit
        for limit in (EXCLUDE, *OF_THE_SOURCE)
        if not some or limit != MATCHED_DROP
    ]
    matched = reviewed.summary.matched
    beyond = {
        each.limit: each
        for each in too_many(
            limits, reviewed.summary, LimitBasis(matched, 0), reviewed.changes
        )
    }
    for refusal in fresh.refusals:
        before = accepted.get(refusal.limit)
        gone = reviewed.summary.clear - fresh.summary.clear
        if (
            before is not None
            and _count_allowed(refusal, limits, matched, gone, beyond) < before.allowed
        ):
            yield refusal
        elif refusal.limit in judged:
            if before is None or before.planned < refusal.planned:
                yield refusal
        elif (
            refusal.limit == CLEAR
        ):  # whose percentages are of users that the reviewed plan does not count
            if before is None and reviewed.summary.clear > refusal.allowed:
                yield refusal
        elif refusal.limit in beyond and before is None:
            yield refusal


def _count_allowed(
    refusal: Refusal,
    limits: Limits,
    matched: int,
    gone: int,
    beyond: Mapping[str, Refusal],
) -> int:
    """How many users a limit allows today; a share of `matched` users is taken of those of the reviewed plan.

    So is the share that may be emptied: it was of `gone` users more, which an interrupted
    run of the plan has emptied.
    """
    if refusal.limit == LOST_STATE:
        return limits.state.of(matched)
    if refusal.limit == CLEAR:
        share = limits.clear or CLEAR_SHARE
        # both shares are rounded down
        emptied = share.of(gone) + 1 if share.percent and gone > 0 else 0
        allowed = refusal.allowed + emptied
        return allowed if limits.clear else min(allowed, CLEAR_USERS.number)
    if not matched:  # an undo counts no matched users
        return refusal.allowed
    return beyond.get(refusal.limit, refusal).allowed


# ---------------------------------------------------------------- two plans compared

T = TypeVar("T")


class ComparedLists(Struct, Generic[T], frozen=True):
    """What the new list has and the old one has not, and so on; `changed`: old and new. `same`: how many."""

    new: Sequence[T]
    gone: Sequence[T]
    changed: Sequence[tuple[T, T]]
    same: int


class PlanComparison(Struct, frozen=True):
    """Changes by the id of their user, problems by whom and what they are about."""

    changes: ComparedLists[Change]
    problems: ComparedLists[Problem]


def compare_plans(old: Plan, new: Plan) -> PlanComparison:
    """What is new in a plan, and what is gone. Hints count as nothing: they are in no digest."""
    return PlanComparison(
        _compare_lists(
            old.changes,
            new.changes,
            lambda change: make_readable(change.user.id),
            lambda change: change.digest,
        ),
        _compare_lists(
            old.problems,
            new.problems,
            _subject_of,
            _content_of,
        ),
    )


def digest_plan(plan: Plan) -> EarlierPlan:
    """What is to be kept of a plan, so that later ones can be compared with it."""
    return EarlierPlan(
        plan.id, plan.created,
        [(make_readable(change.user.id), change.digest) for change in plan.changes],
        [(_digest_key(_subject_of(problem)), _digest_key(_content_of(problem))) for problem in plan.problems],
    )  # fmt: skip


def find_news(before: EarlierPlan, plan: Plan) -> PlanNews:
    """What is new in a plan since that one."""
    now = digest_plan(plan)
    first, second = itemgetter(0), itemgetter(1)
    changes = _compare_lists(
        before.changes,
        now.changes,
        first,
        second,
    )
    numbered: list[tuple[Any, ...]] = [
        (*each, number) for number, each in enumerate(now.problems)
    ]
    problems = _compare_lists(
        before.problems,
        numbered,
        first,
        second,
    )
    return PlanNews(
        before.plan, before.created,
        tuple(user for user, _ in changes.new), tuple(user for _, (user, _) in changes.changed),
        len(changes.gone), changes.same,
        tuple(each[2] for each in problems.new), tuple(each[2] for _, each in problems.changed),
        len(problems.gone), problems.same,
    )  # fmt: skip


def _digest_key(key: tuple[Any, ...]) -> str:
    """The same text for the same key, in every process."""
    spelt = repr(
        [sorted(part) if isinstance(part, frozenset) else part for part in key]
    )
    return hashlib.sha256(spelt.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _subject_of(problem: Problem) -> tuple[Any, ...]:
    """What stays as long as it is the same problem; without an agent that is its record or its users.

    Texts as a plan document has them: a plan is compared with one that was read from there.
    """
    kind, attribute = (
        make_readable(problem.kind),
        make_readable(problem.attribute or ""),
    )
    if problem.agent is not None:
        return (
            kind,
            attribute,
            problem.agent.work_no,
            make_readable(problem.agent.account_code or ""),
        )
    return kind, attribute, problem.record, frozenset(map(make_readable, problem.users))


def _content_of(problem: Problem) -> tuple[Any, ...]:
    return (
        make_readable(problem.why),
        problem.rule,
        frozenset(map(make_readable, problem.users)),
    )


def _compare_lists(
    old: Iterable[T],
    new: Iterable[T],
    about: Callable[[T], Hashable],
    content: Callable[[T], Hashable],
) -> ComparedLists[T]:
    """What is about the same thing goes together: first what is equal, then in the order of the lists."""
    left: defaultdict[Hashable, list[T]] = defaultdict(list)
    for item in old:
        left[about(item)].append(item)
    same, others = 0, []
    for item in new:
        known = left[about(item)]
        equal = next(
            (
                place
                for place, each in enumerate(known)
                if content(each) == content(item)
            ),
            None,
        )
        if equal is None:
            others.append(item)
        else:
            del known[equal]
            same += 1
    fresh: list[T] = []
    changed: list[tuple[T, T]] = []
    for item in others:
        known = left[about(item)]
        if known:
            changed.append((known.pop(0), item))
        else:
            fresh.append(item)
    return ComparedLists(
        fresh,
        [item for items in left.values() for item in items],
        changed,
        same,
    )
