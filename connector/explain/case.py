"""One agent's part of the plan: the planner's own steps, held to whoever is concerned.

The tenant is read whole, for only so it is known who else claims a user. Of the directory,
no more is looked up than decides: the users that this agent's rules find, and those of
agents that might claim the same user. Where the agent's change waits for another user's (a
value that one user at a time may hold), that one is planned too, and so on, until nobody
more is concerned. Limits are judged for whole plans, and so not here.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from functools import cache
from itertools import chain, islice
from typing import Final

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.explain.trace import Tracer
from connector.matching.claims import Verdicts
from connector.matching.lookup import Lookup
from connector.matching.near_misses import near_misses
from connector.matching.people import ExcludeList, Pin
from connector.matching.proof import confirmed, proved
from connector.model import (
    ID,
    NAME,
    AgentRef,
    Change,
    Key,
    Plan,
    Problem,
    Tenant,
    User,
    UserRef,
    equality,
)
from connector.planning.brief import Brief
from connector.planning.compare.unseen import PROBES
from connector.planning.explanation import (
    Explained,
    Explanation,
    Lines,
    RuleTrace,
)
from connector.planning.leavers import stale_users
from connector.planning.leavers.stale_users import Unclaimed
from connector.planning.overview.person_names import people_of
from connector.planning.plan_builder import PlanBuilder
from connector.planning.planner import Planner

_OF_ALL: Final = ("unreadable", "together")
"""Kinds of which a line without users is about all of them."""
ROUNDS: Final = 4
"""So often near misses are looked for, where those found first turn out to be other agents'."""


class Case(Planner):
    """A planner that looks users up as they turn out to matter."""

    def __init__(
        self, brief: Brief, tenant: Tenant, pins: Collection[Pin], exclude: ExcludeList
    ) -> None:
        super().__init__(brief, tenant, pins, exclude)
        self._tracer = Tracer(
            tenant, brief.mapping, brief.description, self.roster, self.differ
        )
        self._asked: set[int] = set()
        self._users: dict[str, User] = {}
        self._wanting_it = cache(self._agents_by_value)
        self._doubts: Verdicts | None = None

    # ------------------------------------------------------------ who claims whom

    def _look_up(self, directory: Lookup, agents: Iterable[int]) -> None:
        new = [number for number in agents if number not in self._asked]
        self._asked.update(new)
        keys = [
            key
            for number in new
            for _, key in self.roster.searches(number)
            if key is not None
        ]
        self.claims.asked.update(name for name, _ in keys)
        for user in self._found(directory, keys):
            self.claims.add(user)

    def _found(self, directory: Lookup, keys: list[Key]) -> list[User]:
        """The users that may hold one of these keys, which are kept."""
        users: list[User] = []
        if any(name in self.unfindable for name, _ in keys):
            why = f"no look-ups by {' and '.join(self.unfindable)}: it has no equality rule"
            everybody = directory.scan(why=why)
            users = [user for user in everybody if self.roster.seekers(user)]
        elif keys:
            users = list(directory.find(keys))
        self._users |= {user.id: user for user in users}
        return users

    def _bring(self, directory: Lookup, ids: Iterable[str]) -> None:
        """Find these users, as far as no look-up has brought them yet."""
        self._found(directory, [(ID, id_) for id_ in ids if id_ not in self._users])

    def _judge(self, directory: Lookup, agents: Iterable[int]) -> Verdicts:
        """What became of these agents: their users, and whoever else may claim those, are looked up first."""
        agents = sorted(agents)
        self._look_up(directory, agents)
        while True:
            self._look_up(directory, self._rivals(agents))
            proved(directory, self.claims, self.roster, self._asked)
            confirmed(directory, self.claims, self.brief.description)
            self._bring(
                directory,
                [claim.id for number in agents for claim in self.claims.of(number)],
            )
            if (
                self._rivals(agents) <= self._asked
            ):  # else a claim came in doubt or late, and others may have it too
                return self.claims.settle(self.tenant, agents)

    def _rivals(self, agents: Iterable[int]) -> set[int]:
        """Whoever else may claim the users that these agents claim so far."""
        return {
            other
            for number in agents
            for claim in self.claims.of(number)
            for other in self._finders(claim.id)
        }

    def _finders(self, user: str) -> list[int]:
        found = self._users.get(user)  # it may be gone by now
        return [number for number, _ in self.roster.seekers(found)] if found else []

    # ------------------------------------------------------------ the plan, as far as it
    # concerns one agent

    def _plan(
        self, directory: Lookup, agents: Iterable[int], users: Sequence[Unclaimed] = ()
    ) -> tuple[Verdicts, Plan]:
        """What is planned for these agents, and users of ours, and for whoever else has a part in that."""
        concerned, holders = set(agents), set[str]()
        while True:
            verdicts = self._judge(directory, concerned)
            unclaimed = self._unclaimed_of(
                holders - verdicts.claimed() - {each.user.id for each in users}
            )
            nobodys = self.nobodys(verdicts)
            unclaimed += [each for each in users if nobodys(each.user)]
            if unclaimed and self._doubts is None and self.brief.mapping.clears:
                self._doubts = self._doubtful(directory)
                continue
            if self._doubts is not None:
                doubtful = verdicts.doubtful | self._doubts.doubtful
                verdicts = replace(
                    verdicts,
                    unsure=verdicts.unsure or self._doubts.unsure,
                    doubtful=doubtful,
                )
            builder = PlanBuilder(
                self.brief,
                self.tenant,
                self.differ,
                self.exclude,
                self.claimers(verdicts),
                few=True,
            )
            planned = builder.build(directory, verdicts, unclaimed, self.claims.shown)
            more = self._more(directory, builder)
            if more <= concerned and builder.unique.holders() <= holders:
                return verdicts, planned.plan
            concerned |= more
            holders |= builder.unique.holders()

    def _more(self, directory: Lookup, builder: PlanBuilder) -> set[int]:
        """Who else is concerned: agents who find or want what this plan moves, or whose users are asked first."""
        unique = builder.unique
        self._bring(directory, unique.holders())
        more = {
            other for id_ in unique.holders() for other in self._finders(id_)
        } | self._wanting(unique.keys())
        having = (
            number
            for number, agent in enumerate(self.tenant.agents)
            if agent.account_code is not None
        )
        asked_first = islice(having, 3 * PROBES if builder.unseen.probed else 0)
        return more.union(asked_first)

    def _wanting(self, keys: Iterable[Key]) -> set[int]:
        likeness, rule_of = equality.likeness, self.brief.description.equality
        found = (
            self._wanting_it(name).get(likeness(rule_of(name), value), ())
            for name, value in keys
        )
        return set(chain.from_iterable(found))

    def _agents_by_value(self, name: str) -> dict[Hashable, set[int]]:
        key = equality.likenesses_of(self.brief.description.equality(name))
        (rule,) = (rule for rule in self.brief.mapping.attributes if rule.name == name)
        renders = [template.bind(self.tenant) for template in rule.templates]
        agents: dict[Hashable, set[int]] = {}
        for number, agent in enumerate(self.tenant.agents):
            for value in [render(agent) for render in renders]:
                if isinstance(value, str):
                    agents.setdefault(key(value), set()).add(number)
        return agents

    def _unclaimed_of(self, ids: Collection[str]) -> list[Unclaimed]:
        """Those of these users that hold something of ours, as the plan would find them, grace and all."""
        users = [self._users[id_] for id_ in ids if id_ in self._users]
        if not users:
            return []
        found = stale_users.unclaimed(
            self.brief.memory, lambda ref: ref.id in ids, users, self.differ.adopted
        ).unclaimed
        return [replace(each, now=self._users.get(each.user.id)) for each in found]

    def _doubtful(self, directory: Lookup) -> Verdicts:
        """Of the agents without a user that may have one: what keeps users of ours from being nobody's."""
        roster = self.roster
        suspects = [
            number
            for number in range(len(roster.agents))
            if roster.doubtful_attributes(number) != frozenset()
        ]
        verdicts = self._judge(directory, suspects)
        if any(name not in self.claims.proven for _, name in roster.attributes()):
            self._look_up(directory, range(len(roster.agents)))
        unproven = proved(directory, self.claims, roster)
        return replace(verdicts, unsure=verdicts.unsure or bool(unproven))

    # ------------------------------------------------------------ the explanation

    def with_people(
        self, directory: Lookup, explanations: Sequence[Explanation]
    ) -> Explained:
        """The explanations with the names of the people in them."""
        users = [each.user for each in explanations if each.user is not None]
        names = [name for each in explanations for name in each.users()]
        known = (user.ref for user in self._users.values())
        people, _ = people_of(directory, users, names, self.brief, known)
        return Explained(tuple(explanations), people)

    def explain(self, directory: Lookup, number: int) -> Explanation:
        verdicts, plan = self._plan(directory, [number])
        agent = self.tenant.agents[number]
        ref = agent.ref
        rules = self._rules(directory, number, beyond=number in verdicts.unmatched)
        for kind in ("unmatched", "ambiguous", "contested"):
            problem = getattr(verdicts, kind).get(number)
            if problem is not None:
                told = (
                    self._nearly(directory, number, problem, verdicts)
                    if kind == "unmatched"
                    else problem
                )
                return Explanation(ref, kind, problem.why, rules, problems=(told,))
        claim = next(
            (claim for claim in verdicts.matched if claim.agent == number), None
        )
        if number in self.tenant.others:
            why = "source.only and source.except leave it to other jobs; it still claims its users"
            return Explanation(ref, "not this job's", why, rules)
        if claim is None:
            return Explanation(
                ref, "unassigned", "the seat has no account: no look-up", rules
            )
        lines, change = _lines(plan, ref, claim.user)
        why = f"{f'rule {claim.rule}' if claim.rule else 'a pin'} found the user; no other agent claims it"
        attributes = tuple(self._tracer.attributes(agent, self._users[claim.id], lines))
        return Explanation(
            ref, "matched", why, rules, claim.user, attributes, change, lines.problems
        )

    def _nearly(
        self, directory: Lookup, number: int, problem: Problem, verdicts: Verdicts
    ) -> Problem:
        """The problem with near misses that no other agent claims, as looking them up tells."""
        taken: set[str] = set()
        for _ in range(ROUNDS):
            alone = replace(verdicts, unmatched={number: problem})
            nearby, _missed = near_misses(
                directory, alone, self.roster, self.brief.description
            )
            told = nearby.unmatched[number]
            try:
                users = self._found(
                    directory, [(NAME, near.user) for near in told.near]
                )
                self._look_up(
                    directory,
                    [other for user in users for other in self._finders(user.id)],
                )
            except IncompleteRead:
                return problem  # a hint that cannot be held to anything is none
            verdicts = replace(
                verdicts, claimed=self.claims.settle(self.tenant, [number]).claimed
            )
            taken = {user.name for user in users if user.id in verdicts.claimed()}
            if not taken:
                break
        return replace(
            told, near=tuple(near for near in told.near if near.user not in taken)
        )

    def _rules(
        self, directory: Lookup, number: int, *, beyond: bool
    ) -> tuple[RuleTrace, ...]:
        """What each rule looked for and found; `beyond`: also past base and filter."""
        asked: dict[int, list[User]] = {}
        keys: dict[int, Key] = {}
        for rule, looked_for in self.roster.searches(number):
            if looked_for is not None:
                keys.setdefault(rule, looked_for)
                asked.setdefault(rule, []).extend(self._found(directory, [looked_for]))
        traces = []
        for trace in self._tracer.rules(number, asked):
            key = keys.get(trace.rule)
            outside = (
                self._outside(directory, number, trace.rule, key)
                if beyond and key
                else []
            )
            traces.append(replace(trace, outside=tuple(outside)))
        return tuple(traces)

    def _outside(
        self, directory: Lookup, number: int, rule: int, key: Key
    ) -> list[str]:
        """Who holds the value and is not within base and filter; nobody where we may not look there."""
        try:
            users = directory.find_outside([key])
            return sorted(
                {
                    user.name
                    for user in users
                    if (number, rule) in self.roster.seekers(user)
                }
            )
        except IncompleteRead:
            return []


def _lines(plan: Plan, ref: AgentRef, user: UserRef) -> tuple[Lines, Change | None]:
    change = next((change for change in plan.changes if change.agent == ref), None)
    problems = [
        problem
        for problem in plan.problems
        if problem.agent == ref
        or (
            problem.agent is None
            and (user.name in problem.users or problem.kind in _OF_ALL)
        )
    ]
    return Lines(change.attributes if change else (), tuple(problems)), change
