"""Holds what a plan says would become of a change to what a real server makes of that very change.

Each case is one user and one value. What the plan would write is written, and has to succeed; what it says would be
refused is sent as it is, and has to fail. What was written as planned is in step: the next plan leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from connector.apply.context import JobRules, PlanContext
from connector.apply.sync import make_plan
from connector.directories.ldap.adapter import LdapDirectory
from connector.errors import FileError
from connector.model import (
    OBJECT_CLASS,
    Agent,
    AttributeChange,
    Change,
    Outcome,
    Plan,
    Result,
    Secret,
    Tenant,
    User,
    View,
)
from connector.model.digests import make_fingerprinter
from connector.model.limits import Limit, Limits
from connector.model.mapping import AttributeRule, Mapping as AttributeMapping, MatchRule
from connector.model.templates import Template
from connector.observers.observer import Observers
from connector.state.journal_rows import Sealer
from connector.state.store import open_state
from tests.support.directory_fixtures import parts

_NO_LIMITS = Limits(Limit(100, percent=True), Limit(1_000_000), None, Limit(100, percent=True))

Open = Callable[[View], LdapDirectory]


@dataclass
class Table:
    """The cases so far.

    `fooled`: the plan said it would succeed, and it did not; `timid`: the other way round. `restless`: it was written
    as planned, and the next plan wants it once more.
    """

    agreed: int = 0
    fooled: list[str] = field(default_factory=list)
    timid: list[str] = field(default_factory=list)
    restless: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.agreed + len(self.fooled) + len(self.timid)

    def note(self, case: str, *, planned: bool, done: bool, said: str) -> None:
        if planned is done:
            self.agreed += 1
        elif planned:
            self.fooled.append(f"{case}: {said}")
        else:
            self.timid.append(case)


def rule(
    name: str, *, single: bool, value: str = "{sipAccount}", owns: str = "*", unique: bool = False
) -> AttributeRule:
    """One attribute that is written whole, and cleared where the agent has no value for it."""
    return AttributeRule(name, Template.parse(value), owns=None if single else owns, unique=unique, when_absent="clear")


def judge(
    table: Table,
    connect: Open,
    attribute: AttributeRule,
    wanted: Mapping[str, str | None],
    *,
    match: str = "uid",
    object_classes: Sequence[str] = (),
) -> Plan | None:
    """Plan `wanted` (a value by user, None to clear it), and do it; the plan, or None where its mapping is refused."""
    mapping = AttributeMapping(
        (MatchRule(Template.parse("{accountCode}"), match),), (attribute,), tuple(object_classes)
    )
    tenant = Tenant([Agent(number, user, value) for number, (user, value) in enumerate(wanted.items(), start=1)])
    with closing(connect(mapping.view())) as directory:
        plan = _plan(directory, mapping, tenant)
        users = {str(user.values[match][0]): user for user in directory.find((match, user) for user in wanted)}
        assert users.keys() == wanted.keys()
        planned = {change.user.id: change for change in plan.changes} if plan else {}
        refused = {user for problem in plan.problems for user in problem.users if problem.attribute} if plan else set()
        tried = {}
        for name, user in users.items():
            if user.id in planned:
                tried[user.id] = planned[user.id]
            elif plan is None or user.name in refused:
                tried[user.id] = _raw(user, attribute, wanted[name], object_classes)
        outcomes: dict[str, Outcome] = {}
        for outcome in directory.write(part for change in tried.values() for part in parts(directory, change)):
            if outcome.user.id not in outcomes or outcomes[outcome.user.id].result is Result.WRITTEN:
                outcomes[outcome.user.id] = outcome
        again = {change.user.id for change in _again(directory, mapping, tenant)} if planned else set()
    for name, user in users.items():
        if user.id in tried:
            classes = ",".join(sorted(str(value) for value in user.values.get(OBJECT_CLASS, ())))
            case = f"{attribute.name} ← {wanted[name]!r:.80} [{classes} + {','.join(object_classes)}]"
            outcome = outcomes[user.id]
            done = outcome.result is Result.WRITTEN
            table.note(case, planned=user.id in planned, done=done, said=f"{outcome.result}: {outcome.why}")
            table.restless += [case] if done and user.id in planned.keys() & again else []
    return plan


def trial(connect: Open, attributes: Sequence[AttributeRule], user: str, *, match: str = "uid") -> dict[str, str]:
    """Write several attributes of one user at once, as planned; those that were left out, by the kind of problem."""
    mapping = AttributeMapping((MatchRule(Template.parse("{accountCode}"), match),), tuple(attributes))
    with closing(connect(mapping.view())) as directory:
        plan = _plan(directory, mapping, Tenant([Agent(1, user)]))
        assert plan is not None
        assert [(outcome.result, outcome.why) for outcome in directory.write(plan.changes)] == [(Result.WRITTEN, "")]
        assert _again(directory, mapping, Tenant([Agent(1, user)])) == ()
    return {problem.attribute: problem.kind for problem in plan.problems if problem.attribute}


def near(connect: Open, attribute: AttributeRule, pairs: Sequence[tuple[str, str]], *, match: str = "uid") -> Table:
    """Write one of each pair to a user of its own, and then the other over it: what came of that."""
    users = [f"u{number}" for number in range(len(pairs))]
    empty(connect, attribute, users, match=match)
    tables = []
    for side in (0, 1):
        tables.append(Table())
        judge(
            tables[-1],
            connect,
            attribute,
            {user: pair[side] for user, pair in zip(users, pairs, strict=True)},
            match=match,
        )
    return tables[1]


def empty(connect: Open, attribute: AttributeRule, users: Iterable[str], *, match: str = "uid") -> None:
    """Take away what earlier cases have left of an attribute."""
    with closing(connect(View((match, attribute.name)))) as directory:
        left = [
            Change(user.ref, None, 1, (AttributeChange(attribute.name, held, (), pattern=attribute.owns),))
            for user in directory.find((match, name) for name in users)
            if (held := user.values.get(attribute.name, ()))
        ]
        assert {outcome.result for outcome in directory.write(left)} <= {Result.WRITTEN}


def _plan(directory: LdapDirectory, mapping: AttributeMapping, tenant: Tenant) -> Plan | None:
    class Source:
        identity = "a table"

        def read(self) -> Tenant:
            return tenant

    with closing(open_state(None)) as state:
        key = Secret("the key of a table")
        dry = PlanContext(
            job="table", rules=JobRules(mapping=mapping, limits=_NO_LIMITS), source=Source(), reader=directory,
            read="auto", state=state, fingerprint=make_fingerprinter(key), sealer=Sealer(key), observer=Observers(),
        )  # fmt: skip
        try:
            return make_plan(dry).plan
        except FileError:
            return None


def _again(directory: LdapDirectory, mapping: AttributeMapping, tenant: Tenant) -> Sequence[Change]:
    plan = _plan(directory, mapping, tenant)
    assert plan is not None, "a mapping that was in order is refused after an apply"
    return plan.changes


def _raw(user: User, attribute: AttributeRule, value: str | None, object_classes: Sequence[str]) -> Change:
    """The change as it would be without checks; what is read of a secret-free attribute is all that it holds."""
    held = {str(name).lower() for name in user.values.get(OBJECT_CLASS, ())}
    needed = tuple(name for name in object_classes if name.lower() not in held)
    classes = [AttributeChange(OBJECT_CLASS, (), needed)] if needed and value is not None else []
    new = () if value is None else (value,)
    set_ = AttributeChange(attribute.name, user.values.get(attribute.name, ()), new, pattern=attribute.owns)
    return Change(user.ref, None, 1, (*classes, set_))
