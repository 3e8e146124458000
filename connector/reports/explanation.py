"""An explanation, for a terminal and for programs. Of a secret there is nothing in either but that it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.model import NAME, Held, Secret, patterns
from connector.model.digests import make_readable
from connector.planning.explanation import (
    AttributeTrace,
    ExplainedNames,
    Explanation,
    RenderedTemplate,
    RuleTrace,
)
from connector.reports import document
from connector.reports.document_shape import (
    AgentShape,
    ChangeShape,
    ProblemShape,
    WrittenOctets,
    write_values,
)
from connector.reports.text import problem_lines, show_sides
from connector.reports.visible import make_visible
from connector.reports.wording import (
    NONE,
    find_sides,
    name_agent,
    name_user,
    show_value,
)

SCHEMA: Final = "cec-connector/explain/1"
Object = dict[str, Any]


def render_text(explained: ExplainedNames) -> Iterator[str]:
    """Line by line, for a reader."""
    people = explained.people
    for number, each in enumerate(explained.explanations):
        yield "\n" if number else ""
        yield f"{name_agent(each.agent) if each.agent else 'user'}: {each.verdict}\n  {make_visible(each.why)}\n"
        if each.user is not None:
            yield f"  user {name_user(people, each.user.name)}, id {make_visible(each.user.id)}\n"
        if each.rules:
            yield "\nLook-ups\n"
        for rule in each.rules:
            yield from _describe_rule(rule, people)
        if each.user is not None and (each.attributes or each.change):
            yield f"\nAttributes of {name_user(people, each.user.name)}\n"
        for attribute in each.attributes:
            yield from _describe_attribute(attribute)
        yield from _describe_further_changes(each)
        if each.problems:
            yield "\nNotes of the plan\n"
        for problem in each.problems:
            yield from problem_lines(problem, people)


def _describe_rule(trace: RuleTrace, people: Mapping[str, str]) -> Iterator[str]:
    if trace.rule:
        yield f"  rule {trace.rule}: {make_visible(trace.rendered.template)} in {make_visible(trace.attribute)}\n"
    else:
        yield f"  pin: the user whose {'name' if trace.attribute == NAME else 'id'} it gives\n"
    yield from _describe_steps(trace.rendered)
    if trace.rendered.value is not None:
        yield f"      looks for {_show_compared(trace.rendered)}\n"
    yield f"      {make_visible(trace.outcome)}\n"
    for told, names in (
        ("", trace.found),
        ("returned by the directory but not equal: ", trace.unequal),
        ("outside of base and filter: ", trace.outside),
    ):
        for name in names:
            yield f"        {told}{name_user(people, name)}\n"


def _describe_attribute(trace: AttributeTrace) -> Iterator[str]:
    owns = (
        f", ours are {make_visible(patterns.describe_pattern(trace.owns))}"
        if trace.owns is not None
        else ""
    )
    several = len(trace.rendered) > 1
    template = (
        f"{len(trace.rendered)} templates"
        if several
        else make_visible(trace.rendered[0].template)
    )
    yield f"  {make_visible(trace.name)}: {template}{owns}\n"
    for made in trace.rendered:
        if several:
            yield f"      {make_visible(made.template)}\n"
        yield from _describe_steps(made)
        yield f"      wanted {NONE if made.value is None else _show_compared(made)}\n"
    none = (
        "(none shown)"
        if any(isinstance(made.value, Secret) for made in trace.rendered)
        else NONE
    )
    yield f"      held   {', '.join(map(show_value, trace.held)) or none}\n"
    change = (
        f": {show_sides(find_sides(trace.change))}" if trace.change is not None else ""
    )
    why = f": {make_visible(trace.why)}" if trace.why else ""
    yield f"      {trace.outcome}{change}{why}\n"


def _describe_further_changes(explained: Explanation) -> Iterator[str]:
    """What the plan changes beside the attributes of the mapping (object classes), and what that waits for."""
    told = {trace.name for trace in explained.attributes}
    for each in explained.change.attributes if explained.change else ():
        if each.name not in told:
            done = "set" if each.new else "cleared"
            yield f"  {make_visible(each.name)}\n"
            yield f"      {done}: {show_sides(find_sides(each))}\n"
    if explained.change is not None and explained.change.after:
        others = ", ".join(map(make_visible, sorted(explained.change.after)))
        yield f"  written after the change of user {others}, which frees a value\n"


# ---------------------------------------------------------------- for programs


def as_document(job: str, explained: ExplainedNames) -> str:
    """The same as JSON; docs/explain.md says it field by field."""
    said: Object = {
        "schema": SCHEMA,
        "job": make_readable(job),
        "agents": [_explanation_object(each) for each in explained.explanations],
    }
    if explained.people:
        said["people"] = {
            make_readable(user): make_readable(name)
            for user, name in explained.people.items()
        }
    return document.as_json(said) + "\n"


def _explanation_object(each: Explanation) -> Object:
    user = each.user
    return {
        "agent": AgentShape.of(each.agent),
        "verdict": each.verdict,
        "why": make_readable(each.why),
        "user": None
        if user is None
        else {"id": make_readable(user.id), "name": make_readable(user.name)},
        "rules": [_rule_object(rule) for rule in each.rules],
        "attributes": [_attribute_object(attribute) for attribute in each.attributes],
        "change": each.change and ChangeShape.of(each.change),
        "problems": list(map(ProblemShape.of, each.problems)),
    }


def _rule_object(trace: RuleTrace) -> Object:
    return {
        "rule": trace.rule,
        "attribute": make_readable(trace.attribute),
        **_rendered_object(trace.rendered),
        "outcome": make_readable(trace.outcome),
        "found": list(map(make_readable, trace.found)),
        "unequal": list(map(make_readable, trace.unequal)),
        "outside": list(map(make_readable, trace.outside)),
    }


def _attribute_object(trace: AttributeTrace) -> Object:
    first, *further = map(_rendered_object, trace.rendered)
    owns = None if trace.owns is None else patterns.split_pattern(trace.owns)
    return {
        "name": make_readable(trace.name),
        **first,
        **({"further": further} if further else {}),
        "owns": owns[0] if owns and len(owns) == 1 else owns,
        "held": [_value_object(value) for value in trace.held],
        "outcome": trace.outcome,
        "why": make_readable(trace.why),
    }


def _rendered_object(made: RenderedTemplate) -> Object:
    fields = [
        {
            "field": part.field,
            "value": _value_object(part.value),
            "steps": [
                {"transform": make_readable(name), "value": _value_object(value)}
                for name, value in part.steps
            ],
        }
        for part in made.parts
    ]
    return {
        "template": made.template,
        "fields": fields,
        "value": _value_object(made.value),
        "compared": made.compared.value,
        "key": None if made.key is None else make_readable(made.key),
    }


def _value_object(value: Held | None) -> Object | WrittenOctets | str | None:
    if value is None:
        return None
    if isinstance(value, Secret):
        return {"secret": True}
    return write_values([value])[0]


# ---------------------------------------------------------------- words


def _describe_steps(made: RenderedTemplate) -> Iterator[str]:
    for part in made.parts:
        steps = "".join(
            f", {make_visible(name)} → {_show_held(value)}"
            for name, value in part.steps
        )
        yield f"      {part.field} is {_show_held(part.value)}{steps}\n"


def _show_held(value: Held | None) -> str:
    return "absent" if value is None else show_value(value)


def _show_compared(made: RenderedTemplate) -> str:
    """A value with how it is compared, and as what, where that is another text."""
    value = _show_held(made.value)
    as_what = (
        f" as {show_value(made.key)}"
        if made.key is not None and made.key != made.value
        else ""
    )
    return f"{value} (compared by {made.compared}{as_what})"
