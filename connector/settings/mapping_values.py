"""The kinds of values that the keys of a mapping file hold, each with the validator that reads it."""

import re
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from connector.model.mapping import SIP, Disabled, Grace
from connector.model.templates import AGENT_FIELDS, SECRET_FIELDS, Template
from connector.settings.attribute_names import (
    fault_of_name,
    why_not_matched,
    why_not_written,
)
from connector.settings.shape import (
    ONE_OR_MORE,
    MisfitError,
    Strict,
    describe_choice,
    match_pattern,
)

# ---------------------------------------------------------------- templates


def parse_template(value: object) -> Template:
    """Read a template. Raises MisfitError, or a kind of ValueError."""
    if lacks_quotes(value):
        raise MisfitError('put the template in quotes: "{…}"')
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise MisfitError('must be a template in quotes, such as "{accountCode}"')
    return Template.parse(value)


def lacks_quotes(value: object) -> bool:
    """Tell `{workNo}` without quotes: to YAML these are keys that have no values."""
    return isinstance(value, dict) and set(value.values()) == {None}


def _check_match_template(template: Template) -> Template:
    if template.fields & SECRET_FIELDS:
        raise MisfitError("agents cannot be matched by a secret")
    if not template.fields & set(AGENT_FIELDS):
        what = (
            "has no field of the agent, so it is the same for all agents. Add a field"
        )
        raise MisfitError(what)
    return template


OneTemplate = Annotated[
    Template, PlainValidator(parse_template, json_schema_input_type=str)
]
MatchTemplate = Annotated[OneTemplate, AfterValidator(_check_match_template)]
Templates = Annotated[list[OneTemplate], Field(min_length=1), ONE_OR_MORE]


# ---------------------------------------------------------------- attributes


def _check_name(name: str) -> str:
    fault = fault_of_name(name)
    if fault:
        raise MisfitError(fault)
    return name


def _check_matched_name(name: str) -> str:
    why = why_not_matched(_check_name(name))
    if why:
        raise MisfitError(f"agents cannot be matched by {name}: {why}")
    return name


def _check_written_name(name: str) -> str:
    why = why_not_written(_check_name(name))
    if why:
        raise MisfitError(f"is not written: {why}")
    return name


def _check_glob(glob: str) -> str:
    if not glob.isprintable():
        raise MisfitError("a pattern holds an unprintable character")
    return glob


MatchedName = Annotated[str, AfterValidator(_check_matched_name)]
WrittenName = Annotated[str, AfterValidator(_check_written_name)]
Glob = Annotated[str, Field(min_length=1), AfterValidator(_check_glob)]
Globs = Annotated[list[Glob], Field(min_length=1), ONE_OR_MORE]
ObjectClass = Annotated[
    str,
    match_pattern(
        r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+(\.[0-9]+)+", "this is no object class's name"
    ),
]
"""An oid of RFC 4512 §1.4."""


# ---------------------------------------------------------------- stale, together


def _parse_grace(after: object) -> Grace:
    found = re.fullmatch(r"([1-9]\d{0,3}) (run|day)s?", str(after))
    if found is None:
        raise MisfitError(
            "must be a number of runs or of days, such as 3 runs or 7 days"
        )
    return Grace(int(found[1]), "runs" if found[2] == "run" else "days")


GraceText = Annotated[
    Grace,
    PlainValidator(_parse_grace),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,3} (run|day)s?$"}),
]


class StaleRules(Strict):
    """What to do with values whose agent is gone, by where the user is."""

    clear_after: GraceText | None = None
    """Clear after this many applies, or days, in which the user is stale."""
    unclaimed: Disabled = "report"
    """For users within base and filter."""
    disabled: Disabled = "report"
    """For users below the base that are disabled and so outside the filter."""

    @model_validator(mode="after")
    def _check_one_rule(self) -> Self:
        if {"clear_after", "unclaimed"} <= self.model_fields_set:
            raise MisfitError("give either clear_after or unclaimed, not both")
        return self


def _expand_stale(value: object) -> object:
    """Make the long form of the short one, which is `report` or `clear`."""
    if isinstance(value, dict | StaleRules):
        return value
    if value in ("report", "clear"):
        return {"unclaimed": value}
    forms = ("{clear_after: 3 runs}", "{unclaimed: clear, disabled: clear}")
    raise MisfitError(describe_choice(value, ("report", "clear", *forms)))


_GROUP: Final = r"(?!(?:false|no|none|off|true|yes|on)$)[a-z][a-z0-9_-]*"


def _parse_group(value: object) -> str:
    """Return a group's name; empty for an attribute that stands alone."""
    if value is False:
        return ""
    if isinstance(value, str) and re.fullmatch(_GROUP, value):
        return value
    what = "must be false, or the name of a group (small letters, digits, - and _)"
    raise MisfitError(f"{what}, such as {SIP}")


StaleChoice = Annotated[
    StaleRules,
    BeforeValidator(_expand_stale, json_schema_input_type=Disabled | StaleRules),
]
Together = Annotated[
    str,
    PlainValidator(_parse_group),
    WithJsonSchema(
        {"anyOf": [{"const": False}, {"type": "string", "pattern": f"^{_GROUP}$"}]}
    ),
]
"""Names of attributes' groups."""
