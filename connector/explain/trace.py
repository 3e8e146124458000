"""How the plan came to what it says of one agent: each template step by step, each rule, each attribute.

Nothing is decided here: a trace asks the functions that a plan is made by, one thing at a
time, and writes down what they answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.roster import PIN, AgentRoster
from connector.model import (
    Agent,
    Description,
    Equality,
    Held,
    Key,
    Secret,
    Tenant,
    User,
    equality,
)
from connector.model.draft import Draft
from connector.model.mapping import AttributeRule, Mapping as Rules
from connector.model.templates import SECRET_FIELDS, Template, TemplatePiece, field_of
from connector.planning.compare_user import UserComparer
from connector.planning.explanation import (
    AttributeTrace,
    RenderedTemplate,
    RuleTrace,
    TemplatePart,
    UserLines,
)


class PlanTracer(Struct, frozen=True):
    """What a plan is made from."""

    tenant: Tenant
    mapping: Rules
    description: Description
    roster: AgentRoster
    differ: UserComparer

    def trace_rules(
        self, number: int, returned: Mapping[int, Sequence[User]]
    ) -> Iterator[RuleTrace]:
        """`returned`: by rule the users that the directory returned for what it looked for."""
        decided = None
        searches: dict[int, Key | None] = {}
        for rule, key in self.roster.list_searches(number):
            searches.setdefault(rule, key)  # a pin may be a name or an id
        for rule, key in searches.items():
            attribute, made = self._looked_for(rule, key, self.roster.agents[number])
            agent, absent = self.roster.agents[number], " and ".join(made.absent_fields)
            if not rule:
                why = "the pin names another workNo"
            elif agent.has_unknown(frozenset(made.absent_fields)):
                why = f"the account list does not tell {absent}"
            else:
                why = f"{absent} gives no value"
            trace = RuleTrace(
                rule,
                attribute,
                made,
                f"no look-up: {why}",
            )
            if decided is not None:
                trace = replace(
                    trace, outcome=f"not tried: {_name_rule(decided)} decided"
                )
            elif key is not None:
                users = {user.name: user for user in returned[rule]}
                claimed = {
                    name
                    for name, user in users.items()
                    if (number, rule) in self.roster.find_seekers(user)
                }
                others = {
                    name
                    for name in users
                    if name not in claimed and _is_alike(users[name], *key)
                }
                found, unequal = tuple(sorted(claimed)), tuple(sorted(others))
                decided = rule if found else None
                outcome = (
                    "found nobody"
                    if not found
                    else "found"
                    if len(found) == 1
                    else f"found {len(found)} users"
                )
                trace = replace(
                    trace,
                    outcome=outcome,
                    found=found,
                    unequal=unequal,
                )
            yield trace

    def _looked_for(
        self,
        rule: int,
        key: Key | None,
        agent: Agent,
    ) -> tuple[str, RenderedTemplate]:
        if rule == PIN:
            attribute, value = key or ("", "")
            return attribute, RenderedTemplate(
                "",
                (),
                value,
                self.description.naming.names,
                None,
            )
        match = self.mapping.match[rule - 1]
        return match.directory, self._render_template(
            match.agent, agent, match.directory
        )

    def trace_attributes(
        self,
        agent: Agent,
        user: User,
        lines: UserLines,
    ) -> Iterator[AttributeTrace]:
        """Each attribute of the mapping."""
        compared = {
            rule.name: (fitted, draft)
            for rule, fitted, draft in self.differ.one_by_one(agent, user)
        }
        for rule in self.mapping.attributes:
            made = tuple(
                self._render_template(template, agent, rule.name)
                for template in rule.templates
            )
            trace = AttributeTrace(
                rule.name,
                made,
                user.values.get(rule.name, ()),
                rule.owns,
                "kept",
            )
            if rule.name not in compared:
                missing = " and ".join(sorted(rule.missing(self.tenant)))
                yield replace(trace, why=f"the tenant has no {missing}")
                continue
            fitted, draft = compared[rule.name]
            trace = replace(trace, rendered=tuple(map(_as_held, made, fitted)))
            change = next(
                (each for each in lines.changes if each.name == rule.name), None
            )
            if change is not None:
                outcome, why = "set" if change.new else "cleared", ""
            else:
                missing = " and ".join(sorted(rule.missing(self.tenant)))
                outcome, why = _judge_unchanged(
                    rule,
                    trace,
                    draft,
                    lines.give_reason(rule.name),
                    missing,
                )
            yield replace(
                trace,
                outcome=outcome,
                why=why,
                change=change,
            )

    def _render_template(
        self,
        template: Template,
        agent: Agent,
        attribute: str,
    ) -> RenderedTemplate:
        rule = self.description.equality(attribute)
        value = template.bind(self.tenant)(agent)
        parts = tuple(
            _trace_part(piece, self.tenant, agent)
            for piece in template.pieces
            if isinstance(piece, TemplatePiece)
        )
        return RenderedTemplate(
            template.text,
            parts,
            value,
            rule,
            None if value is None else normalise_value(rule, value),
        )


def _as_held(made: RenderedTemplate, fitted: Held | None) -> RenderedTemplate:
    return (
        made
        if fitted is None
        else replace(made, value=fitted, key=normalise_value(made.compared, fitted))
    )


def _judge_unchanged(
    rule: AttributeRule,
    trace: AttributeTrace,
    draft: Draft | None,
    why: str,
    missing: str,
) -> tuple[str, str]:
    if draft and draft.held:
        return "refused", draft.held[0].why
    if draft and draft.planned:
        return (
            ("refused", why) if why else ("same", "not shown; compared, and the same")
        )
    if all(made.value is not None for made in trace.rendered):
        written = all(made.value in trace.held for made in trace.rendered)
        return "same", "" if written else "equal by the attribute's equality rule"
    if missing:
        return "kept", f"the tenant has no {missing}"
    absent = " and ".join(
        dict.fromkeys(field for made in trace.rendered for field in made.absent_fields)
    )
    if rule.when_absent == "keep":
        return "kept", f"{absent} gives no value, and when_absent is keep"
    return "same", f"{absent} gives no value, and this job has none to clear"


def _trace_part(
    piece: TemplatePiece,
    tenant: Tenant,
    agent: Agent,
) -> TemplatePart:
    """A field and its transforms: what the piece itself makes of it with one step, with two, and so on."""
    start = field_of(piece.field, tenant, agent)
    secret = piece.field in SECRET_FIELDS

    def hidden(value: str | None) -> Held | None:
        return Secret(value) if secret and value is not None else value

    steps = [
        (name, hidden(TemplatePiece(piece.field, piece.steps[:count]).apply(start)))
        for count, (name, _) in enumerate(piece.steps, start=1)
    ]
    return TemplatePart(piece.field, hidden(start), tuple(steps))


def normalise_value(rule: Equality, value: Held) -> str | None:
    """The form in which equal values are the same, where it can be written down; never that of a secret."""
    return None if isinstance(value, Secret) else equality.write_key(rule, value)


def _is_alike(
    user: User,
    attribute: str,
    value: str,
) -> bool:
    """Whether a directory may have taken a value of the user's for the one it was asked for."""
    held = user.values.get(attribute, ())
    return any(
        isinstance(each, str) and _fold_loosely(each) == _fold_loosely(value)
        for each in held
    )


def _fold_loosely(value: str) -> str:
    """Without case, spaces, accents and compatibility forms: as loosely as any directory compares."""
    letters = unicodedata.normalize("NFKD", value.casefold())
    return "".join(
        letter
        for letter in letters
        if not unicodedata.combining(letter) and not letter.isspace()
    )


def _name_rule(rule: int) -> str:
    return f"rule {rule}" if rule != PIN else "the pin"
