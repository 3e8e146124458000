"""Why one agent is planned for as it is: the plan's own functions, held to what concerns this agent.

The tenant is read whole, for only so it is known who else claims a user. Of the directory, no more is looked up than
decides: whom this agent's rules find, and whom those agents find that might claim the same user. Where the agent's
change waits for another user's (a value that one user at a time may hold), that one is drawn as well, and so on, until
nobody more is concerned. Limits are judged for whole plans, and so not here.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.port import Reader
from connector.errors import IncompleteRead, UsageError
from connector.lookup import Lookup
from connector.model import NAME, AgentRef, Change, Key, Plan, Problem, Secret, Tenant, User, UserRef, View
from connector.parts import Dry
from connector.reconcile import equality
from connector.reconcile.claims import Claims, Verdicts
from connector.reconcile.differences import Differ
from connector.reconcile.drawing import PROBES, Draft
from connector.reconcile.explanation import Explanation, Lines, RuleTrace
from connector.reconcile.roster import Roster
from connector.reconcile.spellings import spellings
from connector.reconcile.traces import Tracer
from connector.settings import job as jobs
from connector.settings import mapping as mappings
from connector.wiring import reader_of

NAMED = 5
"""How many agents of nearly that name are suggested."""
ROUNDS = 4
"""So often near misses are looked for, where those found first turn out to be other agents'."""


def explain(parts: Dry, name: str, beyond: Reader | None = None) -> list[Explanation]:
    """The records of the source with this accountCode or workNo, each explained: one, unless several share it.

    `beyond` reads the same directory past base and filter. Raises UsageError for an agent that there is not.
    """
    parts.watch.stage("read source")
    tenant = parts.source.read()
    named = [number for number, agent in enumerate(tenant.agents) if name in (agent.account_code, str(agent.work_no))]
    unread = [record for record in tenant.invalid if name in (record.account_code, str(record.work_no))]
    if not named and not unread:
        raise UsageError(f"the source has no agent with accountCode or workNo {name!r}{_meant(tenant, name)}")
    explained = [
        Explanation(
            AgentRef(record.work_no, record.account_code),
            "invalid",
            f"record {record.record}: {record.why}",
        )
        for record in unread
    ]
    parts.watch.stage("describe directory", agents=tenant.size)
    case = Case(parts, tenant)
    return [*(case.explain(number, beyond) for number in named), *explained]


def _meant(tenant: Tenant, name: str) -> str:
    """Agents of nearly that name, as the end of a sentence."""
    known = {word.lower(): word for agent in tenant.agents for word in (agent.account_code, str(agent.work_no)) if word}
    domains = sorted({word.rpartition("@")[2] for word in known if "@" in word})[:NAMED]
    close = dict.fromkeys(known[text.lower()] for _, text in spellings(name, domains) if text.lower() in known)
    return f"; did you mean {' or '.join(map(repr, list(close)[:NAMED]))}?" if close else ""


@contextmanager
def beyond(path: Path) -> Iterator[Reader]:
    """A reader of the same directory past the job's base and filter, for telling who is there."""
    job = jobs.load(path)
    settings = job.job.directory
    if settings.type == "scim":
        everybody: dict[str, str | None] = {"filter": None}
    elif settings.type == "ldap":
        everybody = {"filter": "(objectClass=*)", "base": _domain(settings.base), "scope": "subtree"}
    else:
        everybody = {"filter": "(objectClass=*)", "base": ""}
    wider = job.job.model_copy(update={"directory": settings.model_copy(update=everybody)})
    mapping = mappings.load(job.job.mapping, path)
    view = View(tuple(dict.fromkeys(rule.directory for rule in mapping.match)))
    with closing(reader_of(replace(job, job=wider), view)) as reader:
        yield reader


def _domain(base: str) -> str:
    """The `dc=` end of a DN, which most trees have for their root; without one the DN itself."""
    found = re.search(r"(?:^|,)\s*(dc=[^,+]+(?:,\s*dc=[^,+]+)*)\s*$", base, re.IGNORECASE)
    return found[1] if found else base


class Case:
    """A tenant and a directory, of which users are looked up as they turn out to matter."""

    def __init__(self, parts: Dry, tenant: Tenant) -> None:
        self._parts = parts
        self._tenant = tenant
        self._description = parts.reader.describe()
        self._memory = parts.state.memory(self._description.identity, parts.job)
        self._differ = Differ(tenant, parts.mapping, self._description)
        self._roster = Roster(tenant, parts.mapping, parts.pins, self._description)
        self._claims = Claims(self._roster, self._differ)
        self._tracer = Tracer(tenant, parts.mapping, self._description, self._roster, self._differ)
        self._lookup = Lookup(parts.reader, parts.read, parts.watch)
        self._asked: set[int] = set()
        self._users: dict[str, User] = {}
        self._wanted_by: dict[str, dict[Hashable, set[int]]] = {}
        self._unsure: bool | None = None

    # ------------------------------------------------------------ who claims whom

    def _look_up(self, agents: Iterable[int]) -> None:
        """All users that these agents could claim, by whatever rule."""
        new = [number for number in agents if number not in self._asked]
        self._asked.update(new)
        keys = [key for number in new for _, key in self._roster.searches(number) if key is not None]
        for user in self._parts.reader.find(keys) if keys else ():
            self._claims.add(user)
            self._users[user.id] = user

    def _judge(self, agents: Iterable[int]) -> Verdicts:
        """What became of these agents: their users, and whoever else may claim those, are looked up first."""
        agents = sorted(agents)
        self._look_up(agents)
        theirs = {claim.id for number in agents for claim in self._claims.of(number)}
        self._look_up([rival for user in theirs for rival in self._finders(self._users[user])])
        return self._claims.settle(self._tenant, agents)

    def _finders(self, user: User) -> list[int]:
        return [number for number, _ in self._roster.finds(user)]

    # ------------------------------------------------------------ the plan, as far as it concerns one agent

    def _drawn(self, number: int) -> tuple[Verdicts, Plan]:
        """What is planned for this agent and for whoever else has a part in that."""
        concerned = {number}
        while True:
            verdicts = self._judge(concerned)
            draft = Draft(self._tenant, self._parts.mapping, self._description, self._differ, datetime.now(UTC))
            draft.claims(replace(verdicts, unsure=verdicts.unsure or self._unsure is True), self._parts.never)
            wanted = list(draft.moves().keys())
            holders = list(self._parts.reader.find(wanted)) if wanted else []
            more = {other for user in holders for other in self._finders(user)} | self._wanting(wanted)
            nobodys = {user.id: user for user in holders if user.id not in verdicts.claimed}
            if nobodys and self._parts.mapping.stale != "report":
                if self._unsure is None:
                    self._unsure = self._some_are_not_looked_for()
                    continue
                self._clear(draft, nobodys)
            questions = draft.questions(self._claims.shown)
            if any(not isinstance(question.value, Secret) for question in questions):
                more |= self._sample()
            if more <= concerned:
                self._lookup.complete(draft, self._claims.shown, self._memory, self._parts.fingerprint)
                settled = draft.moves().settle(holders)
                plan = draft.plan(
                    settled, self._memory, self._parts.limits, job=self._parts.job, plan_id="", created=""
                )
                return verdicts, plan
            concerned |= more

    def _wanting(self, keys: Iterable[Key]) -> set[int]:
        """Every agent whose single-holder values are among these."""
        if not self._wanted_by:
            for rule in self._parts.mapping.attributes:
                if rule.unique and not rule.secret:
                    by_value: dict[Hashable, set[int]] = {}
                    render, key = rule.value.bind(self._tenant), equality.keys_of(self._description.equality(rule.name))
                    for number, agent in enumerate(self._tenant.agents):
                        value = render(agent)
                        if isinstance(value, str):
                            by_value.setdefault(key(value), set()).add(number)
                    self._wanted_by[rule.name] = by_value
        found = set()
        for name, value in keys:
            found |= self._wanted_by[name].get(equality.key(self._description.equality(name), value), set())
        return found

    def _clear(self, draft: Draft, nobodys: dict[str, User]) -> None:
        """Take our values from those users that nobody claims, as the plan would, grace and all."""
        everybody_else = _AllBut(frozenset(nobodys))
        due = draft.forgotten(self._memory, everybody_else, nobodys.values())
        draft.clear(self._parts.reader.read(due))

    def _some_are_not_looked_for(self) -> bool:
        """Whether some agent could not be looked for and has no user, so that nobody's users may be somebody's."""
        roster = self._roster
        doubtful = [
            number
            for number, agent in enumerate(roster.agents)
            if agent.account_code is not None and number not in roster.doubles and not roster.looked_for_whole(number)
        ]
        self._look_up(doubtful)
        return any(not self._claims.of(number) for number in doubtful)

    def _sample(self) -> set[int]:
        """Agents whose users show whether an attribute is hidden from us: those that a plan would ask about first."""
        having = (number for number, agent in enumerate(self._tenant.agents) if agent.account_code is not None)
        return set(islice(having, 3 * PROBES))

    # ------------------------------------------------------------ the explanation

    def explain(self, number: int, beyond: Reader | None) -> Explanation:
        """What became of this agent, and how."""
        verdicts, plan = self._drawn(number)
        agent = self._tenant.agents[number]
        ref = AgentRef(agent.work_no, agent.account_code)
        rules = tuple(self._rules(number, beyond if number in verdicts.unmatched else None))
        for kind in ("unmatched", "ambiguous", "contested"):
            problem = getattr(verdicts, kind).get(number)
            if problem is not None:
                told = self._nearly(number, problem, verdicts) if kind == "unmatched" else problem
                return Explanation(ref, kind, problem.why, rules, problems=(told,))
        claim = next((claim for claim in verdicts.matched if claim.agent == number), None)
        if claim is None:
            return Explanation(ref, "unassigned", "the seat has no account, so nobody is looked for", rules)
        lines, change = _lines(plan, ref, claim.user)
        why = f"{f'rule {claim.rule}' if claim.rule else 'a pin'} found the user, and no other agent claims it"
        attributes = tuple(self._tracer.attributes(agent, self._users[claim.id], lines))
        return Explanation(ref, "matched", why, rules, claim.user, attributes, change, lines.problems)

    def _nearly(self, number: int, problem: Problem, verdicts: Verdicts) -> Problem:
        """The problem with whom the agent almost matches; of those it is looked up whether other agents claim them."""
        taken: set[str] = set()
        for _ in range(ROUNDS):
            alone = replace(verdicts, unmatched={number: problem})
            nearby, _missed = self._lookup.near_misses(alone, self._roster, self._description)
            told = nearby.unmatched[number]
            try:
                users = list(self._parts.reader.find([(NAME, near.user) for near in told.near])) if told.near else []
                self._look_up(other for user in users for other in self._finders(user))
            except IncompleteRead:
                return problem  # a hint that cannot be held to anything is none
            verdicts = replace(verdicts, claimed=self._claims.settle(self._tenant, [number]).claimed)
            taken = {user.name for user in users if user.id in verdicts.claimed}
            if not taken:
                break
        return replace(told, near=tuple(near for near in told.near if near.user not in taken))

    def _rules(self, number: int, beyond: Reader | None) -> Iterator[RuleTrace]:
        keys = {rule: key for rule, key in self._roster.searches(number) if key is not None}
        asked = {rule: list(self._parts.reader.find([key])) for rule, key in keys.items()}
        for trace in self._tracer.rules(number, asked):
            key = keys.get(trace.rule)
            outside = self._outside(number, trace.rule, key, beyond) if beyond and key else ()
            yield replace(trace, outside=tuple(outside))

    def _outside(self, number: int, rule: int, key: Key, beyond: Reader) -> list[str]:
        """Who holds the value and is not within base and filter; nobody where we may not look there."""
        try:
            found = [user.name for user in beyond.find([key]) if (number, rule) in self._roster.finds(user)]
        except IncompleteRead:
            return []
        return sorted(set(found))


def _lines(plan: Plan, ref: AgentRef, user: UserRef) -> tuple[Lines, Change | None]:
    """What the plan says of an agent and its user."""
    change = next((change for change in plan.changes if change.agent == ref), None)
    problems = [
        problem
        for problem in plan.problems
        if problem.agent == ref
        or (problem.agent is None and (user.name in problem.users or problem.kind == "unreadable"))
    ]
    return Lines(change.attributes if change else (), tuple(problems)), change


class _AllBut(Struct, frozen=True):
    """All ids but these."""

    ids: frozenset[str]

    def __contains__(self, other: object) -> bool:
        return other not in self.ids
