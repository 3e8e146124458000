"""What is checked of drafts before they are a plan: by comparing unseen values, the schema, rights, single holders.

Each check only holds attributes back, or finds them in step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import (
    ID,
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Memory,
    Objection,
    equality,
)
from connector.model.draft import Draft
from connector.planning.brief import PlanBrief
from connector.planning.compare_user import UserComparer
from connector.planning.leaver import Leaver
from connector.planning.unique_values import UniqueValues, settle_drafts
from connector.planning.unseen import UnseenValues, judge_alike

UNSHOWN: Final = (
    "the directory accepted the last value and shows none. Probably this account may not read it. Nothing more is "
    "written there. Grant the account the right to read it. Then leave a value there, or set one"
)
DOUBLED: Final = (
    "its {name} {id!r} (`directory.id`) is also that of {other}. Neither is written. "
    "Give each its own value"
)
UNSEEN: Final = "secrets that this account cannot read are cleared from stale users, whoever wrote them"
BLIND: Final = (
    "some users do not show their object classes, so the plan is not checked against them. Grant the "
    "account the right to read objectClass"
)


class CheckedDrafts(Struct, frozen=True):
    """What checking has shown beside the verdicts."""

    unseen: UnseenValues
    """What users were asked about that they do not show."""
    unique: UniqueValues
    """Who holds single-holder values."""
    cautions: Sequence[str]


def check_drafts(
    directory: Lookup,
    drafts: Sequence[Draft],
    brief: PlanBrief,
    comparer: UserComparer,
    *,
    shown: Collection[str],
    leavers: Sequence[Leaver],
    open_writes: Iterable[Change],
) -> CheckedDrafts:
    """Hold back what cannot be written, and take for in step what turns out to be there.

    `shown`: attributes that some user showed a value of. `open_writes`: as of `make_plan`.
    """
    judge_alike(directory, drafts, brief)
    unseen = UnseenValues(brief, drafts)
    unseen.judge_drafts(directory, shown)
    _note_replaced(drafts, brief.memory, brief.description)
    _settle_unshown(drafts, brief)
    _hold_doubled_ids(directory, drafts, brief.description)
    _hold_objections(directory, drafts, comparer)
    cautions = list(_say_repeated(drafts, unseen, open_writes))
    unique = settle_drafts(
        directory,
        drafts,
        brief,
        comparer.hold_classless,
        leavers=leavers,
    )
    leaving = [
        each for draft in drafts if draft.agent is None for each in draft.planned
    ]
    if any(each.secret and not each.seen for each in leaving):
        cautions.append(UNSEEN)
    if comparer.schema_checks.blind:
        cautions.append(BLIND)
    return CheckedDrafts(unseen, unique, cautions)


def _hold_objections(
    directory: Lookup,
    drafts: Sequence[Draft],
    comparer: UserComparer,
) -> None:
    """Hold back what the directory objects to; without an object class, whatever needs it."""
    for draft in drafts:
        comparer.hold_classless(draft)
    changes = (
        Change(
            draft.user,
            draft.agent,
            draft.rule,
            comparer.attributes_of(draft),
        )
        for draft in drafts
        if draft.planned
    )
    against: dict[str, dict[str, Objection]] = {}
    for objection in directory.preflight(changes):
        of_user = against.setdefault(objection.user, {})
        of_user.setdefault(objection.attribute, objection)
    for draft in drafts if against else ():
        objected = against.get(draft.user.id, {})
        by_class = objected.get(OBJECT_CLASS)
        classless = comparer.needing_classes(draft) if by_class else frozenset()
        for each in draft.planned:
            found = objected.get(each.name) or (
                by_class if each.name in classless else None
            )
            if found is not None:
                draft.hold(
                    (each.name,), draft.problem(found.kind, found.why, each.name)
                )


def _hold_doubled_ids(
    directory: Lookup,
    drafts: Iterable[Draft],
    description: Description,
) -> None:
    """Hold back users whose id some other user has too, where somebody else than the directory gives ids."""
    chosen = description.naming.chosen_id
    if chosen is None:
        return
    planned = {draft.user.id: draft for draft in drafts if draft.planned}
    others: dict[str, set[str]] = {}
    for user in directory.find([(ID, id_) for id_ in planned]):
        if user.id in planned and user.name != planned[user.id].user.name:
            others.setdefault(user.id, set()).add(user.name)
    for id_, names in others.items():
        draft = planned[id_]
        why = DOUBLED.format(id=id_, name=chosen.name, other=min(names))
        draft.drop(draft.problem("unreadable", why))


def _note_replaced(
    drafts: Iterable[Draft],
    memory: Memory,
    description: Description,
) -> None:
    """Tell of values that are written again, since the last write was taken and not shown, what was there before.

    If the same stands again after this write, the directory spells them so.
    """
    unshown, replaced = memory.read_unshown(), memory.read_replaced()

    def with_replaced(user: str, each: AttributeChange) -> AttributeChange:
        before = replaced.get(user, {}).get(each.name)
        if before is None or not each.seen:
            return each
        rule = description.equality(each.name)
        again = equality.same_set(rule, unshown.get(user, {})[each.name], each.new)
        others = equality.subtract_equal(rule, each.old, before) == each.old
        return replace(each, replaced=before) if again and others else each

    for draft in drafts if replaced else ():
        draft.planned = tuple(
            with_replaced(draft.user.id, each) for each in draft.planned
        )


def _settle_unshown(drafts: Iterable[Draft], brief: PlanBrief) -> None:
    """Take out by value what we wrote last and is not shown, so that the new value does not join it.

    Where that cannot be, the new one is held back: each run would add one more. So it is where a template made
    nothing, since what it made last may be to stay. Not where whatever there is would be shown: then somebody else has
    taken it away.
    """
    unshown, description = brief.memory.read_unshown(), brief.description
    templates = {rule.name: len(rule.templates) for rule in brief.mapping.attributes}
    for draft in drafts if unshown else ():
        lasts = unshown.get(draft.user.id, {}) if draft.agent else {}
        for each in draft.planned:
            last = lasts.get(each.name)
            if last is None or each.old or each.secret or each.name in draft.shows:
                continue
            info = description.attributes[each.name]
            is_shown = info.readable is True and not description.reading.hides
            if info.single or is_shown:
                continue
            same = equality.same_set(description.equality(each.name), last, each.new)
            same = same or 0 < len(each.new) < templates[each.name]
            if last and not same and description.writing.by_value and info.comparable:
                now = replace(each, old=last, seen=False)
                draft.planned = tuple(
                    now if one is each else one for one in draft.planned
                )
            else:
                draft.hold(
                    (each.name,), draft.problem("unreadable", UNSHOWN, each.name)
                )


def _say_repeated(
    drafts: Iterable[Draft],
    unseen: UnseenValues,
    open_writes: Iterable[Change],
) -> Iterator[str]:
    """Say so of the secrets of writes that may have happened, and that this plan sets again."""
    secrets = {
        (change.user.id, each.name)
        for change in open_writes
        for each in change.attributes
        if each.secret
        and unseen.denied.get((change.user.id, each.name)) != each.fingerprint
    }
    planned = ((draft.user.id, each.name) for draft in drafts for each in draft.planned)
    again = {user for user, name in planned if (user, name) in secrets}
    if again:
        whose = "one user" if len(again) == 1 else f"{len(again)} users"
        yield (
            f"an interrupted run wrote secrets of {whose}. They cannot be read or compared, so they are "
            "written again"
        )
