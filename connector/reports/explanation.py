"""An explanation, for a terminal and for programs. Of a secret there is nothing in either but that it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.model import NAME, Held, Secret, patterns
from connector.model.digests import readable
from connector.planning.explanation import (
    AttributeTrace,
    Explained,
    Explanation,
    Rendered,
    RuleTrace,
)
from connector.reports import document
from connector.reports.document_shape import (
    AgentShape,
    ChangeShape,
    Octets,
    ProblemShape,
    write_values,
)
from connector.reports.text import difference, problem_lines
from connector.reports.visible import visible
from connector.reports.wording import NONE, person, shown, sides, who

SCHEMA: Final = "cec-connector/explain/1"
Object = dict[str, Any]


def render(explained: Explained) -> Iterator[str]:
    """Line by line, for a reader."""
    people = explained.people
    for number, each in enumerate(explained.explanations):
        yield "\n" if number else ""
        yield f"{who(each.agent) if each.agent else 'user'}: {each.verdict}\n  {visible(each.why)}\n"
        if each.user is not None:
            yield f"  user {person(people, each.user.name)}, id {visible(each.user.id)}\n"
        if each.rules:
            yield "\nLook-ups\n"
        for rule in each.rules:
            yield from _rule(rule, people)
        if each.user is not None and (each.attributes or each.change):
            yield f"\nAttributes of {person(people, each.user.name)}\n"
        for attribute in each.attributes:
            yield from _attribute(attribute)
        yield from _further(each)
        if each.problems:
            yield "\nNotes of the plan\n"
        for problem in each.problems:
            yield from problem_lines(problem, people)


def _rule(trace: RuleTrace, people: Mapping[str, str]) -> Iterator[str]:
    if trace.rule:
        yield f"  rule {trace.rule}: {visible(trace.rendered.template)} in {visible(trace.attribute)}\n"
    else:
        yield f"  pin: the user whose {'name' if trace.attribute == NAME else 'id'} it gives\n"
    yield from _steps(trace.rendered)
    if trace.rendered.value is not None:
        yield f"      looks for {_compared(trace.rendered)}\n"
    yield f"      {visible(trace.outcome)}\n"
    for told, names in (
        ("", trace.found),
        ("returned by the directory but not equal: ", trace.unequal),
        ("outside of base and filter: ", trace.outside),
    ):
        for name in names:
            yield f"        {told}{person(people, name)}\n"


def _attribute(trace: AttributeTrace) -> Iterator[str]:
    owns = (
        f", ours are {visible(patterns.said(trace.owns))}"
        if trace.owns is not None
        else ""
    )
    several = len(trace.rendered) > 1
    template = (
        f"{len(trace.rendered)} templates"
        if several
        else visible(trace.rendered[0].template)
    )
    yield f"  {visible(trace.name)}: {template}{owns}\n"
    for made in trace.rendered:
        if several:
            yield f"      {visible(made.template)}\n"
        yield from _steps(made)
        yield f"      wanted {NONE if made.value is None else _compared(made)}\n"
    none = (
        "(none shown)"
        if any(isinstance(made.value, Secret) for made in trace.rendered)
        else NONE
    )
    yield f"      held   {', '.join(map(shown, trace.held)) or none}\n"
    change = f": {difference(sides(trace.change))}" if trace.change is not None else ""
    why = f": {visible(trace.why)}" if trace.why else ""
    yield f"      {trace.outcome}{change}{why}\n"


def _further(explained: Explanation) -> Iterator[str]:
    """What the plan changes beside the attributes of the mapping (object classes), and what that waits for."""
    told = {trace.name for trace in explained.attributes}
    for each in explained.change.attributes if explained.change else ():
        if each.name not in told:
            yield f"  {visible(each.name)}\n      {'set' if each.new else 'cleared'}: {difference(sides(each))}\n"
    if explained.change is not None and explained.change.after:
        others = ", ".join(map(visible, sorted(explained.change.after)))
        yield f"  written after the change of user {others}, which frees a value\n"


# ---------------------------------------------------------------- for programs


def as_document(job: str, explained: Explained) -> str:
    """The same as JSON; docs/explain.md says it field by field."""
    said: Object = {
        "schema": SCHEMA,
        "job": readable(job),
        "agents": [_object(each) for each in explained.explanations],
    }
    if explained.people:
        said["people"] = {
            readable(user): readable(name) for user, name in explained.people.items()
        }
    return document.as_json(said) + "\n"


def _object(each: Explanation) -> Object:
    user = each.user
    return {
        "agent": AgentShape.of(each.agent),
        "verdict": each.verdict,
        "why": readable(each.why),
        "user": None
        if user is None
        else {"id": readable(user.id), "name": readable(user.name)},
        "rules": [_rule_object(rule) for rule in each.rules],
        "attributes": [_attribute_object(attribute) for attribute in each.attributes],
        "change": each.change and ChangeShape.of(each.change),
        "problems": list(map(ProblemShape.of, each.problems)),
    }


def _rule_object(trace: RuleTrace) -> Object:
    return {
        "rule": trace.rule,
        "attribute": readable(trace.attribute),
        **_rendered_object(trace.rendered),
        "outcome": readable(trace.outcome),
        "found": list(map(readable, trace.found)),
        "unequal": list(map(readable, trace.unequal)),
        "outside": list(map(readable, trace.outside)),
    }


def _attribute_object(trace: AttributeTrace) -> Object:
    first, *further = map(_rendered_object, trace.rendered)
    owns = None if trace.owns is None else patterns.parts(trace.owns)
    return {
        "name": readable(trace.name),
        **first,
        **({"further": further} if further else {}),
        "owns": owns[0] if owns and len(owns) == 1 else owns,
        "held": [_value(value) for value in trace.held],
        "outcome": trace.outcome,
        "why": readable(trace.why),
    }


def _rendered_object(made: Rendered) -> Object:
    fields = [
        {
            "field": part.field,
            "value": _value(part.value),
            "steps": [
                {"transform": readable(name), "value": _value(value)}
                for name, value in part.steps
            ],
        }
        for part in made.parts
    ]
    return {
        "template": made.template,
        "fields": fields,
        "value": _value(made.value),
        "compared": made.compared.value,
        "key": None if made.key is None else readable(made.key),
    }


def _value(value: Held | None) -> Object | Octets | str | None:
    if value is None:
        return None
    if isinstance(value, Secret):
        return {"secret": True}
    return write_values([value])[0]


# ---------------------------------------------------------------- words


def _steps(made: Rendered) -> Iterator[str]:
    for part in made.parts:
        steps = "".join(
            f", {visible(name)} → {_held(value)}" for name, value in part.steps
        )
        yield f"      {part.field} is {_held(part.value)}{steps}\n"


def _held(value: Held | None) -> str:
    return "absent" if value is None else shown(value)


def _compared(made: Rendered) -> str:
    """A value with how it is compared, and as what, where that is another text."""
    value = _held(made.value)
    as_what = (
        f" as {shown(made.key)}"
        if made.key is not None and made.key != made.value
        else ""
    )
    return f"{value} (compared by {made.compared}{as_what})"
