"""What the reader of a plan is told: problems, cautions, figures, and why it may not be applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from connector.matching.candidates import Match
from connector.matching.matches import Matches
from connector.matching.selection import Selection
from connector.model import AgentRef, Change, Problem, Refusal, Summary, Tenant
from connector.model.draft import Draft
from connector.model.limits import LimitBasis, find_refusals
from connector.model.mapping import Mapping as Rules
from connector.planning.assembly import count_changes, find_flapping, list_held_back
from connector.planning.brief import PlanBrief
from connector.planning.leavers import ANY, Leavers, count_keeping_credentials
from connector.planning.order import tell_refused
from connector.planning.plan_input import PlanInput
from connector.planning.unique_values import UniqueValues

UNPROVEN: Final = "stale users are kept: no user shows a value of {names}, so look-ups by it prove nothing"
UNSURE: Final = (
    "stale users are kept: some agents may be anybody (an invalid record, a pin without a match, pins that contradict "
    "each other or the records, or users that do not show their ids)"
)
UNMAPPED: Final = (
    "{names} left the mapping, and no run has cleared the values of this job. To clear them, see docs/mapping-file.md, "
    "`An attribute that leaves the mapping`"
)
NOT_OURS: Final = (
    "matched users that hold their values already, none of them written by this job: {users}. If their agents leave, "
    "nothing is cleared there. To change that, set `adopt: true` for an attribute that only this job writes"
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
    return NOT_OURS.format(users=users) if users else ""


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
    return UNMAPPED.format(names=names) if names else ""


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
    return Summary(
        agents=given.tenant.size,
        matched=matched,
        unmatched=len(matches.unmatched),
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
