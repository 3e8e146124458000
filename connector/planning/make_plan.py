"""The planner: what is to be done so that the directory says what the source says. Pure.

    agents ── look up ──> candidates ── one to one ──> matches ──> drafts ── leavers, checks ──> plan

An agent is *invalid*, *unassigned* (it has no account), or ends as one of *matched*, *unmatched*, *ambiguous* and
*contested* (`matching/matches.py`). A user is *matched*, *stale* (ours, and no agent claims it) or untouched. What
becomes of the attributes of a matched or stale user is in `model/draft.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.candidates import Candidates, find_candidates
from connector.matching.lookup import Lookup
from connector.matching.matches import (
    UNIDENTIFIED_USER,
    Matches,
    hold_undecided,
    refuse_hidden_ids,
    settle_matches,
)
from connector.matching.near_misses import near_misses
from connector.matching.people import (
    Exclusion,
    find_excluded,
    find_strangers,
)
from connector.matching.roster import AgentRoster
from connector.matching.selection import EVERYBODY, Selection, look_up_users
from connector.matching.siblings import defer_to_siblings
from connector.model import (
    KEPT_CREDENTIALS,
    NOT_MAPPED,
    NOT_OURS,
    AgentRef,
    Change,
    Description,
    Plan,
    Problem,
    User,
)
from connector.model.draft import Draft
from connector.planning.assembly import (
    PlanContents,
    assemble_plan,
    describe_keeping,
    describe_not_ours,
    describe_unmapped,
    is_unsure,
    list_cautions,
    list_invalid,
    list_problems,
    list_refusals,
    make_change,
    summarize_plan,
)
from connector.planning.brief import PlanInput, Slot
from connector.planning.check_drafts import check_drafts, find_other_jobs
from connector.planning.clearing import clear_leavers
from connector.planning.compare_user import UserComparer
from connector.planning.forms import OtherValues
from connector.planning.leavers import (
    Leavers,
    find_emptied,
    find_leavers,
)
from connector.planning.open_writes import tell_unsettled
from connector.planning.person_names import add_people
from connector.planning.standing import LeaverPlace
from connector.planning.unique_values import UniqueValues, in_order

_EXCLUDED: Final = "on the exclude list; without that it would be changed"


class PlannedRun(Struct, frozen=True):
    """A plan, and what it was made from: an apply remembers some of it, an explanation shows some."""

    plan: Plan
    matches: Matches
    candidates: Candidates
    leavers: Leavers
    exclusion: Exclusion
    only: Selection
    """Whom the command line named, users by their ids."""
    stale: frozenset[str] | None
    """The ids of users whom no agent claims, and that hold values of this job. None: it is not sure who."""
    confirmed: dict[Slot, str]
    """The fingerprint of each secret that was compared unseen and found there; empty where it is to be gone, and is."""
    denied: dict[Slot, str]
    """Likewise, of what was compared and is not there."""
    away: Sequence[Slot]
    """Where users of ours hold no value any more."""
    left_to_others: frozenset[str]
    """The ids of users of ours that only agents of other jobs claim."""
    others: frozenset[int]
    """Agents that are not this job's."""

    def find_agents_here(self) -> set[int]:
        """The job's agents for which a rule finds a user, or several, whatever becomes of them."""
        return {match.agent for match in self.candidates} - self.others


def make_plan(
    directory: Lookup,
    given: PlanInput,
    selection: Selection = EVERYBODY,
    *,
    whole: bool = False,
    open_writes: Iterable[Change] = (),
) -> PlannedRun:
    """The plan for everybody, or with the changes of a `selection` alone, unless it is `whole`.

    `open_writes`: of an interrupted run, of which it is not known whether they happened. Raises UsageError for a
    user in `selection` that there is not.
    """
    brief, tenant, comparer = given.brief, given.tenant, given.comparer
    description, roster = brief.description, given.roster
    selection = look_up_users(
        directory,
        selection,
        given.naming,
        roster.searchable,
        "--only",
    )
    limited = EVERYBODY if whole else selection

    candidates = find_candidates(
        directory,
        roster,
        comparer.draft_user,
        description,
    )
    matches = settle_matches(candidates, tenant)
    matches = defer_to_siblings(
        matches,
        tenant.agents,
        brief.job,
        brief.siblings,
    )
    refuse_hidden_ids(matches, description)
    matches, near = near_misses(
        directory,
        matches,
        roster,
        description,
    )

    leavers = find_leavers(
        directory,
        brief,
        matches,
        comparer,
    )
    if tenant.accounts is not None:
        stale = {each.user.id: each.user.name for each in leavers.users}
        matches = hold_undecided(matches, candidates, brief.memory, stale)
    exclusion = find_excluded(
        directory,
        given.exclude,
        given.naming,
        tenant,
        matched=(
            (tenant.agents[match.agent].ref, match.id)
            for match in matches.matched
            if match.user.identified
        ),
        last=lambda: brief.memory.read_agents(
            leavers.user_ids | {match.id for match in matches.matched if match.draft}
        ),
    )
    left = leavers.user_ids
    unsure = is_unsure(given, matches)
    drafts, problems, left_out = make_drafts(
        matches,
        exclusion,
        limited,
        description,
    )
    cleared = clear_leavers(
        directory,
        leavers.users,
        brief,
        comparer,
        exclusion=exclusion,
        doubtful=None if unsure or limited or tenant.size == 0 else matches.doubtful,
        claimers=_find_claimers(given, candidates, matches),
    )
    drafts += cleared.drafts
    others = find_other_jobs(
        brief.memory,
        brief.mapping,
        description,
        lambda id_: id_ in matches.claimed or id_ in left,
    )
    others.hold_theirs(drafts)

    cautions = list(
        list_cautions(
            given,
            matches,
            leavers,
            limited,
            left_out,
        )
    )
    checked = check_drafts(
        directory,
        drafts,
        brief,
        comparer,
        shown=candidates.shown,
        leavers=leavers.users,
        open_writes=open_writes,
    )
    changes = list_changes(drafts, comparer, checked.unique)
    hints = {
        "near misses": near,
        NOT_MAPPED: describe_unmapped(leavers, brief),
        NOT_OURS: describe_not_ours(given, matches, leavers),
        **others.told,
        "not verifiable": checked.unseen.describe_unverified(),
        KEPT_CREDENTIALS: describe_keeping(leavers, changes, brief.mapping),
    }
    brief = replace(
        brief,
        about=(*brief.about, *((what, said) for what, said in hints.items() if said)),
    )
    summary = summarize_plan(
        given,
        matches,
        leavers,
        drafts,
        changes,
        left_out=left_out,
    )
    contents = PlanContents(
        changes,
        [
            *comparer.problems, *list_invalid(tenant), *problems,
            *find_strangers(given.pins, given.exclude, tenant, exclusion.found, given.naming),
            *leavers.problems, *tell_unsettled(brief), *cleared.problems,
            *list_problems(drafts, changes, checked.unique, brief),
        ],
        summary,
        [*exclusion.refusals, *list_refusals(given, matches, leavers, summary, changes, some=bool(limited))],
        [*description.cautions, *comparer.cautions, *cautions, *checked.cautions],
    )  # fmt: skip
    beside = {(draft.user.id, name) for draft in drafts for name in draft.shows}
    plan = assemble_plan(
        brief, contents, OtherValues(beside, checked.unique.find_taken())
    )
    # by the name that such a user had, somebody else may be found by now
    away = {
        each.user.name
        for each in leavers.users
        if each.place is LeaverPlace.DELETED or each.is_renamed
    }
    plan = add_people(
        directory,
        plan,
        brief,
        (match.user for match in candidates),
        away,
    )
    is_sure = not (unsure or limited)
    empty = find_emptied(
        directory,
        leavers.users,
        brief.mapping,
        description,
    )
    gone = [slot for slot, print_ in checked.unseen.confirmed.items() if not print_]
    return PlannedRun(
        plan, matches, candidates, leavers, exclusion, selection,
        stale=left - set(cleared.doubted) if is_sure else None,
        confirmed=checked.unseen.confirmed,
        denied=checked.unseen.denied,
        away=[*empty, *gone],
        left_to_others=_left_to_others(given, candidates),
        others=tenant.others,
    )  # fmt: skip


# ---------------------------------------------------------------- drafts


def make_drafts(
    matches: Matches,
    exclusion: Exclusion,
    limited: Selection,
    description: Description,
) -> tuple[list[Draft], list[Problem], int]:
    """The drafts of matched users that differ, problems of agents, and how many users are left out of the plan."""
    drafts: list[Draft] = []
    problems: list[Problem] = []
    for without in (matches.unmatched, matches.ambiguous, matches.contested):
        problems += without.values()
    left_out = 0
    for match in matches.matched:
        if match.draft is None:
            continue
        draft = replace(match.draft)
        if exclusion.spares(draft.agent, draft.user):
            draft.drop(draft.problem("exclude", _EXCLUDED))
        elif not draft.user.identified:
            why = description.naming.unidentified or UNIDENTIFIED_USER
            draft.drop(draft.problem("unreadable", why))
        elif (
            limited
            and draft.planned
            and not limited.holds_user(draft.agent, draft.user)
        ):
            problems += draft.held
            left_out += 1
            continue
        drafts.append(draft)
    return drafts, problems, left_out


def list_changes(
    drafts: Iterable[Draft],
    comparer: UserComparer,
    unique: UniqueValues,
) -> list[Change]:
    """What is left of the drafts, by the users' names."""
    waiting = unique.find_waiting()
    return [
        make_change(draft, comparer.attributes_of(draft), waiting)
        for draft in in_order(drafts)
        if draft.news
    ]


# ---------------------------------------------------------------- stale users


def _find_claimers(
    given: PlanInput,
    candidates: Candidates,
    matches: Matches,
) -> Callable[[User], list[AgentRef]]:
    """Of a user that is to be cleared, the agents that would claim it, by the rule that decided or a better one.

    One that is ambiguous or contested, or shares its account or seat with another, may have it by any rule: what
    decided may be mistaken.
    """
    agents, roster = given.tenant.agents, given.roster
    open_ = {*matches.ambiguous, *matches.contested}
    undecided = open_ | {*roster.doubles}

    @cache
    def seeking() -> AgentRoster:
        matched = (match.agent for match in matches.matched)
        without = {*matches.unmatched, *matches.elsewhere}
        numbers = {*matched, *open_, *without, *given.tenant.others}
        return roster.restrict_to(
            [each for each in numbers if agents[each].account_code is not None]
        )

    def find(user: User) -> list[AgentRef]:
        found = set()
        for number, rule in seeking().find_agents(user, []):
            decided = (match.rule for match in candidates.matches_of(number))
            if number in undecided or all(rule <= each for each in decided):
                found.add(agents[number].ref)
        return sorted(found)

    return find


def _left_to_others(given: PlanInput, candidates: Candidates) -> frozenset[str]:
    """The ids of users of ours that only agents of other jobs claim, so that these jobs may have them."""
    others = given.tenant.others
    theirs = frozenset(match.id for match in candidates if match.agent in others)
    if not theirs:
        return theirs
    theirs -= {match.id for match in candidates if match.agent not in others}
    return theirs.intersection(ref.id for ref, _ in given.brief.memory.read_owned())
