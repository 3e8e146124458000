"""Why one agent or user is planned for as it is: the whole plan is made, and its part is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.approval import require_same_job
from connector.apply.context import PlanContext
from connector.errors import IncompleteRead, UsageError
from connector.explain.trace import PlanTracer
from connector.matching.candidates import Match
from connector.matching.lookup import Lookup
from connector.matching.near_misses import near_misses
from connector.matching.roster import AgentRoster
from connector.matching.selection import (
    describe_nobody,
    describe_several,
    find_named_users,
    select_names,
)
from connector.model import AgentRef, Change, Key, Plan, Problem, User, UserRef
from connector.model.draft import names_held_back
from connector.planning.assembly import why_unsure
from connector.planning.brief import PlanInput, ShownNames
from connector.planning.clearing import judge_leavers
from connector.planning.explanation import (
    ExplainedNames,
    Explanation,
    RuleTrace,
    UserLines,
)
from connector.planning.make_plan import PlannedRun, make_plan
from connector.planning.person_names import find_people, is_named
from connector.planning.standing import CHANGED, Leaver, LeaverPlace

WHERE: Final = "AGENT"
"""What a name on the command line is called there."""


def explain_name(context: PlanContext, name: str) -> ExplainedNames:
    """The records of the source that this names, each explained: one, unless several share an account or a seat.

    Of a user, the agents that look for it; before them the user itself, where none of them claims it. Raises
    UsageError for a name that is nobody's, or two things.
    """
    require_same_job(context)
    context.observer.begin_stage("read source")
    tenant = context.source.read()
    agents = [agent.ref for agent in tenant.agents]
    unreadable = [*tenant.invalid, *tenant.others_invalid]
    invalid = [AgentRef(record.work_no, record.account_code) for record in unreadable]
    alone = tenant.accounts.alone if tenant.accounts else frozenset()
    listed = (
        "; the account list has it, and no agent"
        if name.removeprefix("account:") in alone
        else ""
    )
    try:
        only = select_names([name], [*agents, *invalid], WHERE)
    except UsageError as fault:
        raise UsageError(f"{fault.what}{listed}", where=fault.where) from None
    context.observer.begin_stage("describe directory", agents=tenant.size)
    brief, directory = context.make_brief(), context.look_up()
    # the names of people are read for the explanation alone
    given = PlanInput.prepare_input(
        replace(brief, show=ShownNames()),
        tenant,
        context.rules.pins,
        context.rules.exclude,
    )
    explainer = PlanExplainer.make_plan_first(directory, given)
    told: list[Explanation] = []
    if only.users:
        told += explainer.explain_user(only.users[0])
        if not told:
            why = f"{describe_nobody(only, only.users[0])}{listed}"
            raise UsageError(why, where=WHERE)
    for number, ref in enumerate(agents):
        if only.names_agent(ref):
            told.append(explainer.explain_agent(number))
    for record, ref in zip(unreadable, invalid, strict=True):
        if only.names_agent(ref):
            why = f"record {record.record}: {record.why}"
            told.append(Explanation(ref, "invalid", why))
    users = [each.user for each in told if each.user is not None]
    names = [each for explanation in told for each in explanation.list_users()]
    known = (match.user for match in explainer.planned.candidates)
    people, _ = find_people(
        directory,
        users,
        names,
        brief,
        known,
    )
    return ExplainedNames(tuple(told), people)


class PlanExplainer(Struct, frozen=True):
    """A plan, and what its steps say of one agent or user."""

    directory: Lookup
    given: PlanInput
    planned: PlannedRun
    roster: AgentRoster
    tracer: PlanTracer

    @classmethod
    def make_plan_first(cls, directory: Lookup, given: PlanInput) -> PlanExplainer:
        """Make the plan."""
        planned = make_plan(directory, given)
        brief, tenant = given.brief, given.tenant
        # that of the plan has let go of its keys
        roster = AgentRoster(
            tenant,
            brief.mapping,
            given.pins,
            brief.description,
        )
        tracer = PlanTracer(
            tenant,
            brief.mapping,
            brief.description,
            roster,
            given.comparer,
        )
        return cls(
            directory,
            given,
            planned,
            roster,
            tracer,
        )

    # ------------------------------------------------------------ an agent

    def explain_agent(self, number: int) -> Explanation:
        matches, tenant = self.planned.matches, self.given.tenant
        agent = tenant.agents[number]
        rules = self._trace_rules(number, outside=number in matches.unmatched)
        explained = Explanation(
            agent.ref,
            "unassigned",
            "the seat has no account: no look-up",
            rules,
        )
        if number in matches.elsewhere:
            why = "a sibling finds it, or reports it as unmatched"
            return replace(explained, verdict="elsewhere", why=why)
        for verdict, found in (
            ("unmatched", matches.unmatched),
            ("ambiguous", matches.ambiguous),
            ("contested", matches.contested),
        ):
            if number in found:
                problem = found[number]
                if verdict == "unmatched" and not problem.near:
                    problem = self._add_near(number, problem)
                return replace(
                    explained,
                    verdict=verdict,
                    why=problem.why,
                    problems=(problem,),
                )
        if number in tenant.others:
            why = "source.only and source.except leave it to other jobs; it still claims its users"
            return replace(explained, verdict="not this job's", why=why)
        match = next((each for each in matches.matched if each.agent == number), None)
        if match is None:
            return explained
        user = next(
            iter(self.directory.read([match.user])), User(match.id, match.name, {})
        )
        lines, change = _find_lines(self.planned.plan, agent.ref, match)
        by = f"rule {match.rule}" if match.rule else "a pin"
        return replace(
            explained,
            verdict="matched",
            why=f"{by} found the user; no other agent claims it",
            user=match.user,
            attributes=tuple(self.tracer.trace_attributes(agent, user, lines)),
            change=change,
            problems=lines.problems,
        )

    def _add_near(self, number: int, problem: Problem) -> Problem:
        """The problem with near misses: a plan looks for them for some agents only."""
        alone = replace(self.planned.matches, unmatched={number: problem})
        description = self.given.brief.description
        near, _ = near_misses(
            self.directory,
            alone,
            self.roster,
            description,
        )
        return near.unmatched[number]

    def _trace_rules(self, number: int, *, outside: bool) -> tuple[RuleTrace, ...]:
        """What each rule looked for and found; `outside`: also past base and filter."""
        found: dict[int, list[User]] = {}
        keys: dict[int, Key] = {}
        for rule, key in self.roster.list_searches(number):
            if key is not None:
                keys.setdefault(rule, key)
                found.setdefault(rule, []).extend(self._look_up(key))
        traces = []
        for trace in self.tracer.trace_rules(number, found):
            key = keys.get(trace.rule)
            beyond = self._find_outside([key]) if key and outside else ()
            holds = (number, trace.rule)
            names = {
                user.name for user in beyond if holds in self.roster.find_seekers(user)
            }
            traces.append(replace(trace, outside=tuple(sorted(names))))
        return tuple(traces)

    def _look_up(self, key: Key) -> Iterable[User]:
        """The users that may hold a key."""
        if key[0] not in self.roster.unfindable:
            return self.directory.find([key])
        why = f"no look-ups by {key[0]}: it has no equality rule"
        everybody = self.directory.scan(why=why)
        return [user for user in everybody if self.roster.find_seekers(user)]

    # ------------------------------------------------------------ a user

    def explain_user(self, written: str) -> list[Explanation]:
        """A user by name, id, or value of a match attribute, if no agent claims it; and each agent that looks for it.

        Nothing: there is none.
        """
        naming, matches = self.given.naming, self.planned.matches
        named = naming.make_test([written])
        found = find_named_users(
            self.directory,
            written,
            naming,
            self.roster.searchable,
        )
        ids = {user.id for user in found}
        if len(ids) > 1:
            raise UsageError(describe_several(written, found), where=WHERE)
        # by a name that it had, too
        owned = [ref for ref, _ in self.given.brief.memory.read_owned()]
        if not found and not any(map(named, owned)):
            # a leaver by uid, who may be gone from the directory
            alike = [ref for ref in owned if is_named(ref.name, written)]
            if len(alike) > 1:
                raise UsageError(describe_several(written, alike), where=WHERE)
            if alike:
                return self.explain_user(alike[0].id)
        renamed = [ref for ref in owned if ref.id not in ids and named(ref)]
        present = self.directory.read(renamed) if renamed else ()
        # by a name that a user has now, and the server does not find, nobody is meant
        found += [user for user in present if not named(user.ref)]
        ids |= {user.id for user in found}
        known = self.planned.leavers
        leavers = [
            each
            for each in (*known.users, *known.silent)
            if each.user.id in ids or named(each.user)
        ]
        if not found and not leavers:
            return list(self._explain_outside(written))
        seekers = {
            number for user in found for number, _ in self.roster.find_seekers(user)
        }
        told = [self._explain_leaver(each) for each in leavers]
        explained = {each.user.id for each in leavers} | matches.claimed
        told += [
            self._explain_unsought(user, sorted(seekers))
            for user in found
            if user.id not in explained and user.name not in matches.unidentified
        ]
        return told + [self.explain_agent(number) for number in sorted(seekers)]

    def _explain_leaver(self, each: Leaver) -> Explanation:
        """A user of ours that nobody claims: why it is cleared, or is not."""
        plan, brief = self.planned.plan, self.given.brief
        names = {each.user.name, each.now.name if each.now else each.user.name}
        lines: Sequence[Problem] = plan.problems
        if each in self.planned.leavers.silent:
            _, lines = judge_leavers(
                [each],
                brief.mapping,
                brief.memory,
                brief.now,
            )
        problems = tuple(
            line for line in lines if line.agent is None and names & {*line.users}
        )
        changes = (change for change in plan.changes if change.user.id == each.user.id)
        change = next(changes, None)
        verdict, why = "stale", "this job wrote to it, and no agent claims it"
        within = each.place is LeaverPlace.WITHIN
        unsure = why_unsure(self.given, self.planned.matches)
        if change is not None:
            why += ": its values are cleared"
        elif problems and all(line.why == CHANGED for line in problems):
            verdict, why = "untouched", f"{why}: {CHANGED}"
        elif within and brief.mapping.stale == "report":
            why += ": its values are kept, since `stale` is report"
        elif within and unsure:
            why += f"; {unsure}"
        elif self.planned.exclusion.spares(None, each.user):
            why += ": on the exclude list"
        return Explanation(
            None,
            verdict,
            why,
            user=each.user,
            change=change,
            problems=problems,
        )

    def _explain_unsought(self, user: User, seekers: Sequence[int]) -> Explanation:
        """Why no agent claims a user that holds nothing of ours, and which agents without a user almost do."""
        why = "the agents that look for it claim other users"
        if not seekers:
            near = list(self._nearly_looking(user))
            almost = [f"almost: {', '.join(near)}"] if near else []
            why = "; ".join([*self._describe_values(user), *almost])
        about = (
            each for each in self.planned.leavers.problems if user.name in each.users
        )
        return Explanation(
            None,
            "untouched",
            why,
            user=user.ref,
            problems=tuple(about),
        )

    def _describe_values(self, user: User) -> Iterator[str]:
        names = dict.fromkeys(name for _, name in self.roster.list_attributes())
        held = dict.fromkeys(
            f"{name} {value!r}" if isinstance(value, str) else f"{name} (no text)"
            for name in names
            for value in user.values.get(name, ())
        )
        if held:
            yield f"no agent looks for {' or '.join(held)}"
        missing = [name for name in names if not user.values.get(name)]
        if missing:
            yield f"it shows no {' and no '.join(missing)}"

    def _nearly_looking(self, user: User) -> Iterator[str]:
        """Agents without a user that look for a value like one of this user's, as the plan lists them."""
        for problem in self.planned.matches.unmatched.values():
            for near in problem.near:
                if near.user == user.name:
                    yield f"{problem.agent} ({near.attribute}: differs in {near.how})"
                    break

    def _explain_outside(self, written: str) -> Iterator[Explanation]:
        """A user that base and filter leave out, and of which this job has written nothing."""
        naming = self.given.naming
        named = naming.make_test([written])
        why = "base or filter leaves it out: no run reads or writes it"
        for user in self._find_outside(naming.list_keys(written)):
            if named(user.ref):
                yield Explanation(
                    None,
                    "outside",
                    why,
                    user=user.ref,
                )

    def _find_outside(self, keys: Sequence[Key]) -> list[User]:
        """Who holds a key, also past base and filter; nobody where nobody may look there."""
        try:
            return list(self.directory.find_outside(keys))
        except IncompleteRead:
            return []


def _find_lines(
    plan: Plan,
    ref: AgentRef,
    match: Match,
) -> tuple[UserLines, Change | None]:
    """What a plan says of a matched user."""
    change = next((change for change in plan.changes if change.agent == ref), None)
    changes = change.attributes if change else ()
    differing = match.draft.planned if match.draft else ()
    held = {each.name for each in differing} - {each.name for each in changes}
    problems = tuple(
        each
        for each in plan.problems
        if _is_about(
            each,
            ref,
            match.user,
            held,
        )
    )
    return UserLines(changes, problems), change


def _is_about(
    problem: Problem,
    ref: AgentRef,
    user: UserRef,
    held: set[str],
) -> bool:
    """Whether a line of the plan is about a matched user. `held`: its attributes that differ and are not written."""
    if problem.agent is not None:
        return problem.agent == ref
    if problem.users:
        return user.name in problem.users
    # a line without users is one for all whom it concerns
    if problem.kind == "together":
        return held.issuperset(names_held_back(problem))
    return problem.kind == "unreadable"
