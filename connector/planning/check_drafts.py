"""What is checked of drafts before they are a plan: by comparing unseen values, the schema, rights, single holders.

Each check only holds attributes back, or finds them in step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.model import (
    ID,
    OBJECT_CLASS,
    Change,
    Description,
    Memory,
    Objection,
    equality,
)
from connector.model.draft import Draft
from connector.model.mapping import Mapping as AttributeMapping
from connector.model.patterns import are_apart
from connector.planning.brief import PlanBrief, Slot
from connector.planning.compare_user import UserComparer
from connector.planning.standing import Leaver
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
    judge_alike(
        directory,
        drafts,
        brief,
    )
    unseen = UnseenValues(brief, drafts)
    unseen.judge_drafts(directory, shown)
    _note_replaced(drafts, brief)
    _settle_unshown(drafts, brief)
    _hold_doubled_ids(
        directory,
        drafts,
        brief.description,
    )
    _hold_objections(
        directory,
        drafts,
        comparer,
    )
    cautions = list(
        _say_repeated(
            drafts,
            unseen,
            open_writes,
        )
    )
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
    return CheckedDrafts(
        unseen,
        unique,
        cautions,
    )


class OtherJobs(Struct, frozen=True):
    """What other jobs wrote last to users of this one."""

    writers: Mapping[Slot, str]
    """By user and attribute the job that it belongs to."""
    told: Mapping[str, str]
    """Numbers for the reader, in no digest."""

    def hold_theirs(self, drafts: Iterable[Draft]) -> None:
        for draft in drafts if self.writers else ():
            for each in draft.planned:
                job = self.writers.get((draft.user.id, each.name))
                if job is not None:
                    why = f"another job ({job}) writes this attribute"
                    draft.hold_attribute(
                        each.name,
                        "another job",
                        why,
                    )


def find_other_jobs(
    memory: Memory,
    mapping: AttributeMapping,
    description: Description,
    concerns: Callable[[str], bool],
) -> OtherJobs:
    """`concerns`: whether this job claims a user, or wrote to it.

    An attribute whose owner's last complete apply did not claim the user passes to the job
    that claims it. Values that no pattern of this job (`owns`) fits are none of its
    business.
    """
    rules = {
        alias: rule
        for rule in mapping.attributes
        for alias in description.attributes[rule.name].definition.aliases
        | {rule.name.lower()}
    }
    writers: dict[Slot, str] = {}
    users, passing, common = (defaultdict[str, set[str]](set) for _ in range(3))
    for other in memory.read_other_jobs():
        id_, job = other.user.id, other.job
        if not concerns(id_):
            continue
        users[job].add(id_)
        for name, pattern in other.attributes.items():
            rule = rules.get(name.lower())
            if rule is None or are_apart(rule.owns, pattern):
                continue
            common[job].add(rule.name)
            if not other.claims:
                passing[job].add(id_)
            elif not rule.take_over:
                writers[id_, rule.name] = job
    told = {}
    for job in sorted(users):
        names = ", ".join(sorted(common[job])) or "none"
        said = (
            f"wrote to {len(users[job])} of these users; attributes in common: {names}"
        )
        if passing[job]:
            said += f"; {len(passing[job])} users, which it no longer claims, pass to this job"
        told[f"job {job}"] = said
    return OtherJobs(writers, told)


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
    against: dict[Slot, Objection] = {}
    for objection in directory.preflight(changes):
        against.setdefault((objection.user, objection.attribute), objection)
    for draft in drafts if against else ():
        by_class = against.get((draft.user.id, OBJECT_CLASS))
        classless = comparer.needing_classes(draft) if by_class else ()
        for each in draft.planned:
            found = against.get((draft.user.id, each.name))
            if found is None and each.name in classless:
                found = by_class
            if found is not None:
                draft.hold_attribute(
                    each.name,
                    found.kind,
                    found.why,
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
    holders = directory.find([(ID, id_) for id_ in planned])
    for user in sorted(holders, key=lambda user: user.name):
        draft = planned.get(user.id)
        if draft and draft.planned and user.name != draft.user.name:
            why = DOUBLED.format(
                id=user.id,
                name=chosen.name,
                other=user.name,
            )
            draft.drop(draft.problem("unreadable", why))


def _note_replaced(drafts: Iterable[Draft], brief: PlanBrief) -> None:
    """Tell of values that are written again, since the last write was taken and not shown, what was there before.

    If the same stands again after this write, the directory spells them so.
    """
    unshown, replaced = brief.memory.read_unshown(), brief.memory.read_replaced()
    for draft in drafts if replaced else ():
        befores = replaced.get(draft.user.id, {})
        planned = []
        for each in draft.planned:
            before, noted = befores.get(each.name), each
            if before is not None and each.seen:
                rule = brief.description.equality(each.name)
                last = unshown[draft.user.id][each.name]
                others = (
                    equality.subtract_equal(
                        rule,
                        each.old,
                        before,
                    )
                    == each.old
                )
                if others and equality.same_set(
                    rule,
                    last,
                    each.new,
                ):
                    noted = replace(each, replaced=before)
            planned.append(noted)
        draft.planned = tuple(planned)


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
            name, info = each.name, description.attributes[each.name]
            is_shown = info.readable is True and not description.reading.hides
            shown = info.single or is_shown or name in draft.shows
            if name not in lasts or each.old or each.secret or shown:
                continue
            last = lasts[name]
            same = equality.same_set(
                info.equality,
                last,
                each.new,
            )
            same = same or 0 < len(each.new) < templates[name]
            if last and not same and description.writing.by_value and info.comparable:
                now = replace(
                    each,
                    old=last,
                    seen=False,
                )
                draft.planned = tuple(
                    now if one is each else one for one in draft.planned
                )
            else:
                draft.hold_attribute(
                    name,
                    "unreadable",
                    UNSHOWN,
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
