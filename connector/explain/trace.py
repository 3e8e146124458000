"""How the plan came to what it says of one agent: each template step by step, each rule, each attribute.

Nothing is decided here: a trace asks the functions that a plan is made by, one thing at a
time, and writes down what they answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

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
            found: list[str] = []
            unequal: list[str] = []
            if decided is not None:
                outcome = f"not tried: {_name_rule(decided)} decided"
            elif key is None:
                agent = self.roster.agents[number]
                absent = " and ".join(made.absent_fields)
                why = f"{absent} gives no value"
                if not rule:
                    why = "the pin names another workNo"
                elif agent.has_unknown(frozenset(made.absent_fields)):
                    why = f"the account list does not tell {absent}"
                outcome = f"no look-up: {why}"
            else:
                for user in {user.name: user for user in returned[rule]}.values():
                    if (number, rule) in self.roster.find_seekers(user):
                        found.append(user.name)
                    elif _is_alike(user, *key):
                        unequal.append(user.name)
                decided = rule if found else None
                some = "found" if len(found) == 1 else f"found {len(found)} users"
                outcome = some if found else "found nobody"
            yield RuleTrace(
                rule,
                attribute,
                made,
                outcome,
                tuple(sorted(found)),
                tuple(sorted(unequal)),
            )

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
        values = self.differ.fit_values(agent)
        draft = self.differ.draft_user(agent, user, None)
        held = {each.attribute: each.why for each in draft.held} if draft else {}
        planned = {each.name for each in draft.planned} if draft else set()
        for rule in self.mapping.attributes:
            fitted = values.get(rule.name, (None,) * len(rule.templates))
            made = tuple(
                self._render_template(
                    template,
                    agent,
                    rule.name,
                    value,
                )
                for template, value in zip(rule.templates, fitted, strict=True)
            )
            shown = user.values.get(rule.name, ())
            of_plan = (each for each in lines.changes if each.name == rule.name)
            change = next(of_plan, None) if rule.name in values else None
            if change is not None:
                outcome, why = "set" if change.new else "cleared", ""
            elif rule.name in held:
                outcome, why = "refused", held[rule.name]
            elif rule.name in planned:
                why = lines.give_reason(rule.name)
                outcome = "refused" if why else "same"
                why = why or "not shown; compared, and the same"
            else:
                outcome, why = self._judge_unchanged(rule, made, shown)
            yield AttributeTrace(
                rule.name,
                made,
                shown,
                rule.owns,
                outcome,
                why,
                change,
            )

    def _judge_unchanged(
        self,
        rule: AttributeRule,
        made: Sequence[RenderedTemplate],
        held: Sequence[Held],
    ) -> tuple[str, str]:
        """What becomes of an attribute that does not differ, and why."""
        missing = " and ".join(sorted(rule.missing(self.tenant)))
        if all(each.value is not None for each in made):
            written = all(each.value in held for each in made)
            return "same", "" if written else "equal by the attribute's equality rule"
        if missing:
            return "kept", f"the tenant has no {missing}"
        absent = dict.fromkeys(field for each in made for field in each.absent_fields)
        said = f"{' and '.join(absent)} gives no value, and"
        if rule.when_absent == "keep":
            return "kept", f"{said} when_absent is keep"
        return "same", f"{said} this job has none to clear"

    def _render_template(
        self,
        template: Template,
        agent: Agent,
        attribute: str,
        fitted: Held | None = None,
    ) -> RenderedTemplate:
        """`fitted`: what it makes as the attribute holds it, where that is known."""
        rule = self.description.equality(attribute)
        value = template.bind(self.tenant)(agent) if fitted is None else fitted
        parts = tuple(
            _trace_part(piece, self.tenant, agent)
            for piece in template.pieces
            if isinstance(piece, TemplatePiece)
        )
        key = None if value is None else normalise_value(rule, value)
        return RenderedTemplate(
            template.text,
            parts,
            value,
            rule,
            key,
        )


def _trace_part(
    piece: TemplatePiece,
    tenant: Tenant,
    agent: Agent,
) -> TemplatePart:
    """A field and its transforms: what the piece itself makes of it with one step, with two, and so on."""
    if agent.has_unknown(frozenset({piece.field})):
        return TemplatePart(piece.field, None, is_untold=True)
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
