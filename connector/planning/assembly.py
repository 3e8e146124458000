"""The plan as a value: what its reader is told, counted, put in order, and digested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from connector.matching.candidates import Match
from connector.matching.matches import Matches
from connector.matching.selection import Selection
from connector.matching.siblings import UNHEARD
from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Description,
    Owned,
    Plan,
    PlanNotes,
    Problem,
    Refusal,
    Summary,
    Tenant,
    equality,
    patterns,
)
from connector.model.digests import digest_of, digest_of_plan
from connector.model.draft import Draft
from connector.model.limits import LimitBasis, find_refusals, sets_value, takes_value
from connector.model.mapping import Mapping as Rules
from connector.model.plan import kind_rank
from connector.planning.brief import PlanBrief, PlanInput
from connector.planning.forms import OtherValues, add_forms
from connector.planning.kinds import add_overview
from connector.planning.leavers import ANY, Leavers, count_keeping_credentials
from connector.planning.order import tell_refused
from connector.planning.unique_values import UniqueValues

_NOBODY: Final[frozenset[str]] = frozenset()
"""One for all: each empty set of its own would take 216 octets."""


class PlanContents(Struct, frozen=True):
    """What a plan says, before it is put in order."""

    changes: Sequence[Change]
    problems: Iterable[Problem]
    """One that several users share may come several times."""
    summary: Summary
    refusals: Iterable[Refusal]
    cautions: Iterable[str]


def make_change(
    draft: Draft,
    attributes: tuple[AttributeChange, ...],
    waiting: Mapping[str, frozenset[str]],
) -> Change:
    """The change that a settled draft has become, with its digest. `waiting`: by user id, whom its change waits for."""
    digest = digest_of(
        draft.user,
        draft.agent,
        draft.rule,
        attributes,
    )
    after = waiting.get(draft.user.id, _NOBODY)
    return Change(
        draft.user, draft.agent, draft.rule, attributes, digest, after,
        disabled=draft.disabled, inactive=draft.inactive,
    )  # fmt: skip


def assemble_plan(
    brief: PlanBrief,
    contents: PlanContents,
    others: OtherValues,
) -> Plan:
    """The plan with its digest; its problems in the order in which a reviewer has to act on them."""
    formed = add_forms(contents.changes, brief, others)
    former = sorted((formed.left + _count_former(brief)).items())
    problems = {id(each): each for each in contents.problems}
    plan = Plan(
        id=brief.plan_id,
        digest="",
        job=brief.job,
        created=brief.now.isoformat(timespec="seconds"),
        summary=contents.summary,
        changes=tuple(formed.changes),
        problems=tuple(sorted(problems.values(), key=_sort_key)),
        refusals=tuple(contents.refusals),
        cautions=(
            *contents.cautions,
            *(_describe_former(*slot, users) for slot, users in former),
        ),
        about=brief.about,
        notes=PlanNotes(lost=len(set[str]().union(*formed.losing.values()))),
    )
    return add_overview(replace(plan, digest=digest_of_plan(plan)))


def _count_former(brief: PlanBrief) -> Counter[tuple[str, str]]:
    """What earlier plans left as the ones in `FormedChanges.left`, as far as the mapping does not own it again."""
    owns = {
        rule.name: frozenset(patterns.split_pattern(rule.owns))
        for rule in brief.mapping.attributes
        if rule.owns
    }
    return Counter(
        (name, pattern)
        for name, pattern in brief.memory.read_former()
        if name in owns
        and patterns.ALL not in owns[name]
        and not owns[name].issuperset(patterns.split_pattern(pattern))
    )


def _describe_former(
    name: str,
    pattern: str,
    users: int,
) -> str:
    """The caution that this job's own values stay beside the new ones."""
    whose = "one user" if users == 1 else f"{users} users"
    return (
        f"{name} of {whose} may keep values that this job wrote when its owns was "
        f"{patterns.describe_pattern(pattern)}: they are "
        "not its own now. To replace them, list that in owns, too, for one apply"
    )


def list_held_back(drafts: Iterable[Draft], shared: Iterable[Problem]) -> list[Problem]:
    """What holds attributes back, each problem once; those that several users may share come last, in their order."""
    last = {id(problem): problem for problem in shared}
    held = (problem for draft in drafts for problem in draft.held)
    found = {id(problem): problem for problem in held if id(problem) not in last}
    return [*found.values(), *last.values()]


def find_flapping(
    changes: Iterable[Change],
    repeats: Mapping[str, frozenset[str]],
    brief: PlanBrief,
) -> Iterator[Problem]:
    """Values that we wrote more than once running, and that were changed by somebody each time.

    `repeats`: by user what is there and only written again.
    """
    rewritten = brief.memory.read_rewritten()
    for change in changes if rewritten else ():
        user = change.user
        for each in change.attributes:
            before = rewritten.get((user.id, each.name))
            if before is None or each.name in repeats.get(user.id, ()):
                continue
            if _is_same_value(before, each, brief.description):
                why = (
                    f"this job wrote the same value {before.times} times in a row, and somebody changed it each "
                    "time. Find the other writer"
                )
                yield Problem(
                    "flapping",
                    why,
                    change.agent,
                    (user.name,),
                    change.rule,
                    each.name,
                )


def _is_same_value(
    before: Owned,
    each: AttributeChange,
    description: Description,
) -> bool:
    if each.secret:
        return before.fingerprint == each.fingerprint
    rule = description.equality(each.name)
    return equality.digest_values(rule, each.new) == set(before.values)


def count_changes(changes: Iterable[Change]) -> dict[str, int]:
    """How many users each kind of change touches; a user may count in several."""
    found = Counter(update=0, clear=0, secret=0)
    for change in changes:
        kinds = set()
        for each in change.attributes:
            if sets_value(change, each):
                kinds |= {"update", "secret"} if each.secret else {"update"}
            elif takes_value(change, each):
                kinds.add("clear")
        found.update(kinds)
    return dict(found)


def _sort_key(problem: Problem) -> tuple[int, int, int, str, str]:
    """What a reviewer has to act on comes first; within a kind by record and agent, so that two runs agree."""
    agent = problem.agent or AgentRef()
    return (
        kind_rank(problem.kind),
        problem.record or 0,
        agent.work_no or 0,
        agent.account_code or "",
        problem.why,
    )


# ---------------------------------------------------------------- what the reader is told

UNPROVEN: Final = "stale users are kept: no user shows a value of {names}, so look-ups by it prove nothing"
UNSURE: Final = (
    "stale users are kept: some agents may be anybody (an invalid record, a pin without a match, pins that contradict "
    "each other or the records, or users that do not show their ids)"
)
_UNMAPPED: Final = (
    "{names} left the mapping, and no run has cleared the values of this job. To clear them, see docs/mapping-file.md, "
    "`An attribute that leaves the mapping`"
)
_ALIKE_ALREADY: Final = (
    "{users} already, none of them written by this job. If an agent leaves, nothing is cleared there. To change that, "
    "set `adopt: true` for an attribute that only this job writes"
)
_LIMITED: Final = (
    "limited to {names} (--only): changes of {count} other users are left out"
)


def is_unsure(given: PlanInput, matches: Matches) -> bool:
    """Whether some agent may have any user, so that nobody is known to have left."""
    tenant = given.tenant
    return bool(
        matches.unsure
        or tenant.invalid
        or tenant.others_invalid
        or matches.unproven
        or (matches.doubtful and not given.brief.mapping.clears)
    )


def why_unsure(given: PlanInput, matches: Matches) -> str:
    """Why nobody is known to have left; empty where that is known."""
    if matches.unproven:
        return UNPROVEN.format(names=" and ".join(sorted(matches.unproven)))
    return UNSURE if is_unsure(given, matches) else ""


def list_invalid(tenant: Tenant) -> Iterator[Problem]:
    """A line about each record of the source that cannot be read."""
    for invalid in tenant.invalid:
        agent = AgentRef(invalid.work_no, invalid.account_code)
        yield Problem(
            "invalid",
            invalid.why,
            agent=agent,
            record=invalid.record,
        )


def list_cautions(
    given: PlanInput,
    matches: Matches,
    leavers: Leavers,
    limited: Selection,
    left_out: int,
) -> Iterator[str]:
    """Why stale users are kept, and to whom the plan is limited."""
    for job in given.brief.siblings.unheard:
        yield UNHEARD.format(job=job)
    unsure = why_unsure(given, matches)
    if matches.unproven:
        yield unsure
    if limited:
        yield _LIMITED.format(names=", ".join(sorted(limited.names)), count=left_out)
    clears = given.brief.mapping.clears and leavers.users
    if clears and unsure and not matches.unproven:
        yield unsure


def describe_not_ours(
    given: PlanInput,
    matches: Matches,
    leavers: Leavers,
) -> str:
    """How many matched users hold most of their values though no job wrote there, in a sentence, or nothing."""
    brief = given.brief
    if brief.mapping.adopting or len(leavers.claimed) >= len(matches.matched):
        return ""
    ours = leavers.claimed | {each.user.id for each in brief.memory.read_other_jobs()}
    users = sum(
        _holds_most(given, match) for match in matches.matched if match.id not in ours
    )
    if not users:
        return ""
    hold = "user holds its values" if users == 1 else "users hold their values"
    return _ALIKE_ALREADY.format(users=f"{users} matched {hold}")


def _holds_most(given: PlanInput, match: Match) -> bool:
    return given.comparer.holds_most(given.tenant.agents[match.agent], match.draft)


def describe_unmapped(leavers: Leavers, brief: PlanBrief) -> str:
    """How many users hold something of ours in attributes that left the mapping, in a sentence, or nothing."""
    mapped = {ANY}
    for rule in brief.mapping.attributes:
        mapped |= {
            rule.name.lower(),
            *brief.description.attributes[rule.name].definition.aliases,
        }
    unmapped = [name for name in sorted(leavers.holders) if name.lower() not in mapped]
    names = ", ".join(f"{name} of {leavers.holders[name]} users" for name in unmapped)
    return _UNMAPPED.format(names=names) if names else ""


def describe_keeping(
    leavers: Leavers,
    changes: Iterable[Change],
    mapping: Rules,
) -> str:
    """How many stale users keep credentials, in a sentence, or nothing."""
    kept = count_keeping_credentials(leavers.users, changes, mapping) + leavers.restored
    if not kept:
        return ""
    said = f"{kept} stale {'user keeps' if kept == 1 else 'users keep'} credentials of this job"
    how = ". To clear them, set `stale: clear` in the mapping"
    return said + (how if mapping.stale == "report" else "")


def list_problems(
    drafts: Sequence[Draft],
    changes: Sequence[Change],
    unique: UniqueValues,
    brief: PlanBrief,
) -> Iterator[Problem]:
    """What holds attributes back, who changes values back, and what was refused before."""
    repeats = {draft.user.id: draft.repeats for draft in drafts}
    yield from list_held_back(drafts, unique.problems)
    yield from find_flapping(changes, repeats, brief)
    yield from tell_refused(changes, brief.memory.read_refused())


def summarize_plan(
    given: PlanInput,
    matches: Matches,
    leavers: Leavers,
    drafts: Iterable[Draft],
    changes: Iterable[Change],
    *,
    left_out: int,
) -> Summary:
    """The counts of a plan."""
    matched = len(matches.matched)
    differing = sum(draft.differs for draft in drafts if draft.agent)
    siblings = given.brief.siblings
    has_siblings = bool(siblings.plans or siblings.unheard)
    return Summary(
        agents=given.tenant.size,
        matched=matched,
        unmatched=len(matches.unmatched),
        elsewhere=len(matches.elsewhere) if has_siblings else UNSET,
        ambiguous=len(matches.ambiguous),
        contested=len(matches.contested),
        unassigned=matches.unassigned,
        invalid=len(given.tenant.invalid),
        stale=sum(bool(each.held_names) for each in leavers.users),
        unchanged=matched - left_out - differing,
        **count_changes(changes),
    )


def list_refusals(
    given: PlanInput,
    matches: Matches,
    leavers: Leavers,
    summary: Summary,
    changes: Sequence[Change],
    *,
    some: bool,
) -> Iterator[Refusal]:
    """Every limit that the plan exceeds. `some`: the plan is for some agents alone."""
    memory = given.brief.memory
    lost = None
    if changes and memory.is_blank():
        # what nobody can see counts as held
        lost = sum(_holds_most(given, match) for match in matches.matched)
    whole = LimitBasis(
        summary.matched,
        leavers.holders[ANY],
        memory.last_good(),
        lost,
        given.tenant.other_jobs_count,
        leavers.holders,
    )
    return find_refusals(
        given.brief.limits,
        summary,
        whole,
        changes,
        some=some,
    )
