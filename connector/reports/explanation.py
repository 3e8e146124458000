"""An explanation, for a terminal and for programs. Of a secret there is nothing in either but that it is one."""

from __future__ import annotations

from typing import Any, Final

from connector.model import NAME, Held, Secret, patterns
from connector.planning.explanation import (
    AttributeTrace,
    ExplainedNames,
    Explanation,
    RenderedTemplate,
    RuleTrace,
)
from connector.reports.document import as_json
from connector.reports.document_shape import (
    ChangeShape,
    ProblemShape,
    WrittenOctets,
    write_values,
)
from connector.reports.sections import problem_row
from connector.reports.text import (
    TextMarker,
    describe_problem,
    finish_lines,
)
from connector.reports.wording import (
    NONE,
    Lines,
    People,
    name_agent,
    name_user,
    show_sides,
    show_value,
)

SCHEMA: Final = "cec-connector/explain/1"
Object = dict[str, Any]


def render_text(explained: ExplainedNames) -> Lines:
    """Line by line, for a reader."""
    for number, each in enumerate(explained.explanations):
        if number:
            yield "\n"
        yield from finish_lines(_explanation_lines(each, explained.people))


def _explanation_lines(each: Explanation, people: People) -> Lines:
    yield f"{name_agent(each.agent) if each.agent else 'user'}: {each.verdict}"
    yield f"  {each.why}"
    user = each.user and name_user(people, each.user.name)
    if each.user:
        yield f"  user {user}, id {each.user.id}"
    if each.rules:
        yield ""
        yield "Look-ups"
    for rule in each.rules:
        yield from _rule_lines(rule, people)
    if user and (each.attributes or each.change):
        yield ""
        yield f"Attributes of {user}"
    for attribute in each.attributes:
        yield from _attribute_lines(attribute)
    yield from _further_lines(each)
    if each.problems:
        yield ""
        yield "Notes of the plan"
    marker = TextMarker(people)
    for problem in each.problems:
        yield from describe_problem(problem_row([problem], marker))


def _rule_lines(trace: RuleTrace, people: People) -> Lines:
    if trace.rule:
        yield f"  rule {trace.rule}: {trace.rendered.template} in {trace.attribute}"
    else:
        given = "name" if trace.attribute == NAME else "id"
        yield f"  pin: the user whose {given} it gives"
    yield from _step_lines(trace.rendered)
    if trace.rendered.value is not None:
        yield f"      looks for {_show_compared(trace.rendered)}"
    yield f"      {trace.outcome}"
    users = {
        "": trace.found,
        "returned by the directory but not equal: ": trace.unequal,
        "outside of base and filter: ": trace.outside,
    }
    for said, names in users.items():
        for name in names:
            yield f"        {said}{name_user(people, name)}"


def _attribute_lines(trace: AttributeTrace) -> Lines:
    title = " and ".join(made.template for made in trace.rendered)
    if trace.owns is not None:
        title += f", ours are {patterns.describe_pattern(trace.owns)}"
    yield f"  {trace.name}: {title}"
    none = NONE
    for made in trace.rendered:
        yield from _step_lines(made)
        yield f"      wanted {NONE if made.value is None else _show_compared(made)}"
        if isinstance(made.value, Secret):
            none = "(none shown)"
    yield f"      held   {', '.join(map(show_value, trace.held)) or none}"
    outcome = trace.outcome
    if trace.change is not None:
        outcome += f": {show_sides(trace.change)}"
    if trace.why:
        outcome += f": {trace.why}"
    yield f"      {outcome}"


def _further_lines(explained: Explanation) -> Lines:
    """What the plan changes beside the attributes of the mapping (object classes), and what that waits for."""
    change = explained.change
    if change is None:
        return
    listed = {trace.name for trace in explained.attributes}
    for each in change.attributes:
        if each.name not in listed:
            done = "set" if each.new else "cleared"
            yield f"  {each.name}"
            yield f"      {done}: {show_sides(each)}"
    if change.after:
        others = ", ".join(sorted(change.after))
        yield f"  written after the change of user {others}, which frees a value"


def _step_lines(made: RenderedTemplate) -> Lines:
    for part in made.parts:
        held = "unknown" if part.is_untold else _show_held(part.value)
        said = [f"{part.field} is {held}"]
        said += [f"{name} → {_show_held(value)}" for name, value in part.steps]
        yield f"      {', '.join(said)}"


def _show_held(value: Held | None) -> str:
    return "absent" if value is None else show_value(value)


def _show_compared(made: RenderedTemplate) -> str:
    """A value with how it is compared, and as what, where that is another text."""
    how = f"compared by {made.compared}"
    if made.key is not None and made.key != made.value:
        how += f" as {show_value(made.key)}"
    return f"{_show_held(made.value)} ({how})"


# ---------------------------------------------------------------- for programs


def as_document(job: str, explained: ExplainedNames) -> str:
    """The same as JSON; docs/explain.md says it field by field."""
    said: Object = {
        "schema": SCHEMA,
        "job": job,
        "agents": [_explanation_object(each) for each in explained.explanations],
    }
    if explained.people:
        said["people"] = explained.people
    return as_json(said) + "\n"


def _explanation_object(each: Explanation) -> Object:
    return {
        "agent": each.agent,
        "verdict": each.verdict,
        "why": each.why,
        "user": each.user,
        "rules": [_rule_object(rule) for rule in each.rules],
        "attributes": [_attribute_object(attribute) for attribute in each.attributes],
        "change": each.change and ChangeShape.of(each.change),
        "problems": list(map(ProblemShape.of, each.problems)),
    }


def _rule_object(trace: RuleTrace) -> Object:
    return {
        "rule": trace.rule,
        "attribute": trace.attribute,
        **_rendered_object(trace.rendered),
        "outcome": trace.outcome,
        "found": trace.found,
        "unequal": trace.unequal,
        "outside": trace.outside,
    }


def _attribute_object(trace: AttributeTrace) -> Object:
    first, *further = map(_rendered_object, trace.rendered)
    if further:
        first["further"] = further
    owns = None if trace.owns is None else patterns.split_pattern(trace.owns)
    return {
        "name": trace.name,
        **first,
        "owns": owns[0] if owns and len(owns) == 1 else owns,
        "held": [_value_object(value) for value in trace.held],
        "outcome": trace.outcome,
        "why": trace.why,
    }


def _rendered_object(made: RenderedTemplate) -> Object:
    fields = [
        {
            "field": part.field,
            "value": _value_object(part.value),
            "steps": [
                {"transform": name, "value": _value_object(value)}
                for name, value in part.steps
            ],
        }
        for part in made.parts
    ]
    return {
        "template": made.template,
        "fields": fields,
        "value": _value_object(made.value),
        "compared": made.compared,
        "key": made.key,
    }


def _value_object(value: Held | None) -> Object | WrittenOctets | str | None:
    if value is None:
        return None
    if isinstance(value, Secret):
        return {"secret": True}
    return write_values([value])[0]
