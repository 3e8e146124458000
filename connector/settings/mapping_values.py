"""The kinds of values that the keys of a mapping file hold, each with the validator that reads it."""

import re
from typing import Annotated, Any, Final

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    PlainValidator,
    WithJsonSchema,
)

from connector.model import patterns
from connector.model.mapping import SIP, Disabled, Grace, Stale
from connector.model.templates import (
    AGENT_FIELDS,
    SECRET_FIELDS,
    TENANT_FIELDS,
    Template,
)
from connector.model.transforms import TemplateError
from connector.settings.attribute_names import (
    fault_of_name,
    why_not_matched,
    why_not_written,
)
from connector.settings.shape import LONGEST_WORD, MisfitError, match_pattern

# ---------------------------------------------------------------- templates


def parse_template(value: object) -> Template:
    """Read a template. Raises MisfitError."""
    if lacks_quotes(value):
        raise MisfitError('put the template in quotes: "{…}"')
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise MisfitError('must be a template in quotes, such as "{accountCode}"')
    try:
        return Template.parse(value)
    except TemplateError as fault:
        raise MisfitError(str(fault)) from None


def lacks_quotes(value: object) -> bool:
    """Tell `{workNo}` without quotes: to YAML these are keys that have no values."""
    if not isinstance(value, dict) or not value:
        return False
    return all(inner is None for inner in value.values())


def _parse_templates(value: object) -> tuple[Template, ...]:
    if not isinstance(value, list):
        return (parse_template(value),)
    if not value:
        raise MisfitError("must not be empty")
    templates, faults = [], []
    for number, each in enumerate(value, start=1):
        try:
            templates.append(parse_template(each))
        except MisfitError as fault:
            faults.append(f"template {number}: {fault.what}")
    if faults:
        raise MisfitError(". Also: ".join(faults))
    return tuple(templates)


def _check_match_template(template: Template) -> Template:
    if template.fields & SECRET_FIELDS:
        raise MisfitError("agents cannot be matched by a secret")
    if not template.fields & set(AGENT_FIELDS):
        what = (
            "has no field of the agent, so it is the same for all agents. Add a field"
        )
        raise MisfitError(what)
    return template


def _allow_list(schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


_FIELDS: Final = ", ".join(f"{{{field}}}" for field in AGENT_FIELDS + TENANT_FIELDS)
_TEMPLATE_SCHEMA: Final = {
    "type": "string",
    "minLength": 1,
    "description": f"Text with fields in braces: {_FIELDS}.",
}
MatchTemplate = Annotated[
    InstanceOf[Template],
    BeforeValidator(parse_template),
    WithJsonSchema(_TEMPLATE_SCHEMA),
    AfterValidator(_check_match_template),
]
Templates = Annotated[
    tuple[InstanceOf[Template], ...],
    BeforeValidator(_parse_templates),
    WithJsonSchema(_allow_list(_TEMPLATE_SCHEMA)),
]


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


def _join_patterns(value: object) -> object:
    """Join several globs to one text; anything else is left to be judged as a text."""
    globs = value if isinstance(value, list) else [value]
    if any(isinstance(glob, str) and not glob.isprintable() for glob in globs):
        raise MisfitError("a pattern holds an unprintable character")
    if not isinstance(value, list):
        return value
    if not value or not all(isinstance(glob, str) and glob for glob in value):
        raise MisfitError("must be a pattern in quotes, or a list of them")
    return patterns.joined(value)


MatchedName = Annotated[str, AfterValidator(_check_matched_name)]
WrittenName = Annotated[str, AfterValidator(_check_written_name)]
Patterns = Annotated[
    str,
    Field(min_length=1),
    BeforeValidator(_join_patterns),
    WithJsonSchema(_allow_list({"type": "string", "minLength": 1})),
]
ObjectClass = Annotated[
    str,
    match_pattern(
        r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+(\.[0-9]+)+", "this is no object class's name"
    ),
]
"""An oid of RFC 4512 §1.4."""


# ---------------------------------------------------------------- stale, together


_CHOICE: Final = {"type": "string", "enum": ["report", "clear"]}
_STALE: Final = {
    "anyOf": [
        _CHOICE,
        {
            "type": "object",
            "description": "What to do, by where the user is.",
            "properties": {
                "clear_after": {
                    "type": "string",
                    "pattern": r"^[1-9]\d{0,3} (run|day)s?$",
                    "description": "Clear after this many applies, or days, in which the user is stale.",
                },
                "unclaimed": {
                    **_CHOICE,
                    "description": "For users within base and filter.",
                },
                "disabled": {
                    **_CHOICE,
                    "description": "For users below the base that are disabled and so outside the filter.",
                },
            },
            "minProperties": 1,
            "not": {"required": ["clear_after", "unclaimed"]},
            "additionalProperties": False,
        },
    ]
}
_STALE_KEYS: Final = frozenset({"unclaimed", "clear_after", "disabled"})
_GROUP: Final = r"[a-z][a-z0-9_-]*"
_NO_GROUPS: Final = frozenset({"false", "no", "none", "off", "true", "yes", "on"})
_TOGETHER: Final = {
    "anyOf": [
        {"type": "boolean", "const": False},
        {"type": "string", "pattern": f"^{_GROUP}$"},
    ]
}


class StaleRules(Struct, frozen=True):
    """What becomes of our values of users whom no agent claims."""

    unclaimed: Stale = "report"
    """Of users within base and filter."""
    disabled: Disabled = "report"
    """Of disabled users, whom the filter leaves out."""


def _parse_stale(value: object) -> StaleRules:
    if isinstance(value, StaleRules):
        return value
    if isinstance(value, dict) and value and value.keys() <= _STALE_KEYS:
        return _parse_stale_keys(value)
    if value == "report":
        return StaleRules("report")
    if value == "clear":
        return StaleRules("clear")
    is_word = isinstance(value, str) and len(value) <= LONGEST_WORD
    said = f"{value!r} is none of" if is_word else "must be one of"
    choices = (
        "report, clear, {clear_after: 3 runs}, {unclaimed: clear, disabled: clear}"
    )
    raise MisfitError(f"{said} {choices}")


def _parse_stale_keys(keys: dict[str, object]) -> StaleRules:
    if {"unclaimed", "clear_after"} <= keys.keys():
        raise MisfitError("give either clear_after or unclaimed, not both")
    disabled = _parse_choice(keys, "disabled")
    if "clear_after" in keys:
        return StaleRules(_parse_grace(keys["clear_after"]), disabled)
    return StaleRules(_parse_choice(keys, "unclaimed"), disabled)


def _parse_grace(after: object) -> Grace:
    pattern = r"([1-9]\d{0,3}) (run|day)s?"
    found = re.fullmatch(pattern, after) if isinstance(after, str) else None
    if found is None:
        what = (
            "clear_after must be a number of runs or of days, such as 3 runs or 7 days"
        )
        raise MisfitError(what)
    return Grace(int(found[1]), "runs" if found[2] == "run" else "days")


def _parse_choice(keys: dict[str, object], key: str) -> Disabled:
    value = keys.get(key, "report")
    if value == "clear":
        return "clear"
    if value == "report":
        return "report"
    raise MisfitError(f"{key} must be report or clear")


def _parse_group(value: object) -> str:
    """Return a group's name; empty for an attribute that stands alone."""
    if value is False:
        return ""
    is_word = isinstance(value, str) and re.fullmatch(_GROUP, value)
    if is_word and value not in _NO_GROUPS:
        return str(value)
    what = "must be false, or the name of a group (small letters, digits, - and _)"
    raise MisfitError(f"{what}, such as {SIP}")


StaleChoice = Annotated[
    StaleRules, PlainValidator(_parse_stale), WithJsonSchema(_STALE)
]
Together = Annotated[str, PlainValidator(_parse_group), WithJsonSchema(_TOGETHER)]
