"""The planner: what is to be done so that the directory says what the source says. Pure.

It yields what it has to know of the directory as questions (`questions.py`), takes the
answers, and returns a plan:

    agents ── look up ──> claims ── one to one ──> verdicts ──> drafts ── compare, object, settle ──> plan

An agent is *invalid*, *unassigned* (it has no account), or ends as one of *matched*,
*unmatched*, *ambiguous* and
*contested* (`claims.py`).
A user is *matched*, *stale* (ours, and no agent claims it; `stale_users.py`) or untouched.
What becomes of the attributes of a matched or stale user is in `compare/draft.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import cache

from msgspec.structs import replace

from connector.errors import DeniedError
from connector.matching.claims import UNIDENTIFIED_USER, Claims, Verdicts
from connector.matching.lookup import Lookup
from connector.matching.near_misses import near_misses
from connector.matching.people import ExcludeList, Pin, strangers, unprotected
from connector.matching.proof import confirmed, proved
from connector.matching.roster import Roster
from connector.matching.selection import EVERYBODY, Selection, looked_up
from connector.matching.user_names import Naming
from connector.model import AgentRef, Change, Cleared, Problem, Tenant, User, UserRef
from connector.model.mapping import Mapping
from connector.model.templates import AGENT_FIELDS, TENANT_FIELDS, field_of
from connector.planning.brief import Brief
from connector.planning.compare.differences import Differ
from connector.planning.compare.spellings import Spellings
from connector.planning.leavers import stale_users
from connector.planning.leavers.leavers import lapsing, placed
from connector.planning.leavers.stale_users import Place
from connector.planning.overview.person_names import with_people
from connector.planning.plan_builder import PlanBuilder, PlanResult


class Planner:
    """A tenant, the job's rules and lists, and a directory. Raises FileError where its schema forbids the mapping."""

    def __init__(
        self, brief: Brief, tenant: Tenant, pins: Collection[Pin], exclude: ExcludeList
    ) -> None:
        if tenant.beside:
            brief = replace(
                brief,
                about=(
                    *brief.about,
                    ("not this job's", f"{tenant.beside} agents of the source"),
                ),
            )
        if unwritten := _unwritten_fields(brief.mapping, tenant):
            takes = "takes it" if len(unwritten) == 1 else "takes them"
            said = f"{', '.join(unwritten)} (no attribute of the mapping {takes})"
            brief = replace(brief, about=(*brief.about, ("not written", said)))
        self.brief = brief
        self.tenant = tenant
        self.pins = pins
        self.exclude = exclude.remembering(brief.memory.excluded())
        spellings = Spellings(brief.memory, brief.fingerprint)
        self.differ = Differ(tenant, brief.mapping, brief.description, spellings)
        self.naming = Naming(brief.description)
        self.roster = Roster(tenant, brief.mapping, pins, brief.description)
        self.claims = Claims(self.roster, self.differ)
        infos = brief.description.attributes
        self.unfindable = tuple(
            name for _, name in self.roster.attributes() if not infos[name].comparable
        )
        """Match attributes without an equality rule: no look-up finds anybody by them."""
        self.searched = dict.fromkeys(
            name for _, name in self.roster.attributes() if infos[name].comparable
        )
        """All other match attributes."""

    def plan(
        self,
        directory: Lookup,
        only: Selection = EVERYBODY,
        untold: Iterable[Change] = (),
        *,
        whole: bool = False,
    ) -> PlanResult:
        """The plan for everybody. `only`: the changes of these agents and users alone, unless it is `whole`.

        `untold`: writes of an interrupted run of which it is not known whether they happened. Raises UsageError for a
        user in `only` that there is not.
        """
        only = looked_up(directory, only, self.naming, self.searched, "--only")
        found = directory.search(
            self.claims.wanted(),
            len(self.roster),
            found=self.claims.found,
            unfindable=self.unfindable,
        )
        for user in found:
            self.claims.add(user)
        unproven = proved(directory, self.claims, self.roster)
        confirmed(directory, self.claims, self.brief.description)
        self.roster.close()
        verdicts = replace(self.claims.settle(self.tenant), unproven=unproven)
        described = self.brief.description
        hidden = verdicts.unidentified
        if (
            hidden
            and len(hidden) == len(verdicts.claimed())
            and described.naming.chosen_id is None
        ):
            why = (
                described.naming.unidentified
                or f"{UNIDENTIFIED_USER}; nor does any other"
            )
            raise DeniedError(why, where=min(verdicts.unidentified))
        verdicts, nearby = near_misses(
            directory, verdicts, self.roster, self.brief.description
        )
        hints = {"near misses": nearby}
        listed = self.exclude.keys(self.naming)
        spared = list(directory.find(listed)) if listed else []
        unknown = strangers(self.pins, self.exclude, self.tenant, spared, self.naming)
        excluded = self.exclude.named(spared, self.naming)
        refused = unprotected(
            directory,
            self.exclude,
            self.naming,
            [name for name, ids in excluded.items() if not ids],
        )
        ours = self._ours(directory, verdicts)
        hints["not mapped"] = self._unmapped(ours.holders)
        hints["not ours"] = self._not_ours(verdicts, ours.claimed)
        brief = replace(
            self.brief,
            about=(
                *self.brief.about,
                *((what, said) for what, said in hints.items() if said),
            ),
        )
        witness = next(
            (claim.user.id for claim in verdicts.matched if claim.user.identified), None
        )
        unclaimed = placed(directory, ours.unclaimed, self.brief.description, witness)
        unclaimed, lapsed = lapsing(unclaimed, self.brief.memory.lapsed())
        back, credentials = self._cleared_and_back(directory, verdicts)
        builder = PlanBuilder(
            brief, self.tenant, self.differ, self.exclude, self.claimers(verdicts)
        )
        planned = builder.build(
            directory, verdicts, unclaimed, self.claims.shown, holders=ours.holders, restored=credentials,
            only=EVERYBODY if whole else only, problems=[*unknown, *back], untold=untold, refused=refused,
        )  # fmt: skip
        # by the name that such a user had, somebody else may be found by now
        away = {
            each.user.name
            for each in unclaimed
            if each.place is Place.DELETED or each.renamed
        }
        plan = with_people(directory, planned.plan, brief, self.claims.users(), away)
        left = self._left_to_others()
        excluded.update(planned.excluded)
        return replace(
            planned,
            plan=plan,
            only=only,
            excluded=excluded,
            lapsed=lapsed,
            left_to_others=left,
        )

    def _left_to_others(self) -> frozenset[str]:
        """The ids of users of ours that only agents of other jobs claim, so that these jobs may have them."""
        if not self.tenant.others:
            return frozenset()
        theirs = {
            claim.id
            for number in self.tenant.others
            for claim in self.claims.of(number)
        }
        own = (
            number
            for number in range(len(self.tenant.agents))
            if number not in self.tenant.others
        )
        theirs -= {claim.id for number in own for claim in self.claims.of(number)}
        return frozenset(
            ref.id for ref, _ in self.brief.memory.owned() if ref.id in theirs
        )

    def claimers(self, verdicts: Verdicts) -> Callable[[User], list[AgentRef]]:
        """Of a user that is to be cleared, the agents that would claim it, by the rule that decided or a better one.

        One that is ambiguous or contested, or shares its account or seat with another, may
        have it by any rule: what decided may be mistaken.
        """
        undecided = {*verdicts.ambiguous, *verdicts.contested, *self.roster.doubles}

        @cache
        def seeking() -> Roster:
            having = (claim.agent for claim in verdicts.matched)
            without = {*verdicts.unmatched, *verdicts.ambiguous, *verdicts.contested}
            numbers = without.union(having, self.tenant.others)
            return self.roster.only(
                [
                    each
                    for each in numbers
                    if self.tenant.agents[each].account_code is not None
                ]
            )

        def found(user: User) -> list[AgentRef]:
            sought = seeking().finds(user, [])
            claims = self.claims
            better = (
                number
                for number, rule in sought
                if number in undecided
                or all(rule <= each.rule for each in claims.of(number))
            )
            agents = (self.tenant.agents[number] for number in better)
            return sorted({agent.ref for agent in agents})

        return found

    def nobodys(self, verdicts: Verdicts) -> Callable[[UserRef], bool]:
        """A test whether no agent claims a user, be it by its name alone."""
        return lambda user: (
            user.id not in verdicts.claimed() and user.name not in verdicts.unidentified
        )

    def _ours(self, directory: Lookup, verdicts: Verdicts) -> stale_users.Ours:
        adopting = self.brief.mapping.adopting
        why = f"`adopt: true` of {' and '.join(adopting)} has to see every user who holds a value"
        adopted: Iterable[User] = directory.scan(adopting, why) if adopting else ()
        return stale_users.unclaimed(
            self.brief.memory, self.nobodys(verdicts), adopted, self.differ.adopted
        )

    def _cleared_and_back(
        self, directory: Lookup, verdicts: Verdicts
    ) -> tuple[list[Problem], int]:
        """A line about each user without an agent that shows what this job cleared there; how many got secrets back."""
        nobodys, adopting = (
            self.nobodys(verdicts),
            {name.lower() for name in self.brief.mapping.adopting},
        )
        known_cleared = [
            each for each in self.brief.memory.cleared() if nobodys(each.user)
        ]
        others = self.brief.memory.others() if known_cleared else ()
        theirs = {
            (each.user.id, name.lower()) for each in others for name in each.attributes
        }
        cleared: dict[str, list[Cleared]] = {}
        for each in known_cleared:
            name = each.attribute.lower()
            if name not in adopting and (each.user.id, name) not in theirs:
                cleared.setdefault(each.user.id, []).append(each)
        refs = stale_users.cleared_last(cleared.values())
        told, credentials = [], 0
        for user in directory.read(refs, disabled=True) if refs else ():
            known = cleared[user.id]
            was = stale_users.Unclaimed(
                user.ref, {each.attribute: each.held for each in known}, now=user
            )
            ours = self.differ.clearing(user, was, self.brief.fingerprint).planned
            names = [each.name for each in ours if each.seen]
            if names:
                why = stale_users.BACK.format(
                    names=", ".join(names), date=max(each.time for each in known)[:10]
                )
                told.append(Problem("stale", why, users=(user.name,)))
                credentials += any(each.secret for each in ours)
        return told, credentials

    def _not_ours(self, verdicts: Verdicts, owned: Collection[str]) -> str:
        """How many matched users hold most of their values though no job wrote there, in a sentence, or nothing.

        `owned`: ids of claimed users that this job wrote to.
        """
        if self.brief.mapping.adopting or len(owned) >= len(verdicts.matched):
            return ""
        others = {each.user.id for each in self.brief.memory.others()}
        users = sum(
            self.differ.holds_most(self.tenant.agents[claim.agent], claim.draft)
            for claim in verdicts.matched
            if claim.id not in owned and claim.id not in others
        )
        return stale_users.NOT_OURS.format(users=users) if users else ""

    def _unmapped(self, holders: Counter[str]) -> str:
        """How many users hold something of ours in attributes that left the mapping, in a sentence, or nothing."""
        infos, written = (
            self.brief.description.attributes,
            [rule.name for rule in self.brief.mapping.attributes],
        )
        mapped = {stale_users.ANY, *map(str.lower, written)}.union(
            *(infos[name].definition.aliases for name in written)
        )
        unmapped = [name for name in sorted(holders) if name.lower() not in mapped]
        left = ", ".join(f"{name} of {holders[name]} users" for name in unmapped)
        return stale_users.UNMAPPED.format(names=left) if left else ""


def _unwritten_fields(mapping: Mapping, tenant: Tenant) -> list[str]:
    """The fields that agents have and no attribute takes. Whoever has a number has a password, which may be unread."""
    taken = frozenset[str]().union(*(rule.fields for rule in mapping.attributes))
    shown_by = {"sipPwd": "sipAccount"}
    return [
        field
        for field in (*AGENT_FIELDS, *TENANT_FIELDS)
        if field not in taken
        and any(
            field_of(shown_by.get(field, field), tenant, agent)
            for agent in tenant.agents
        )
    ]
