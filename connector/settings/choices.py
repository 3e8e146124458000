"""What some keys of the mapping file may say, each read by a function of its own."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from connector.reconcile.mapping import SIP, Grace, Stale
from connector.settings.shape import misfit


def _stale(value: object) -> Stale:
    if value in ("report", "clear"):
        return "clear" if value == "clear" else "report"
    if isinstance(value, dict) and value.keys() == {"clear_after"}:
        after = value["clear_after"]
        found = re.fullmatch(r"([1-9]\d{0,3}) (run|day)s?", after) if isinstance(after, str) else None
        if found is None:
            raise misfit("clear_after must be a number of runs or of days, such as 3 runs or 7 days")
        return Grace(int(found[1]), "runs" if found[2] == "run" else "days")
    said = f"{value!r} is none of" if isinstance(value, str) and len(value) <= 40 else "must be one of"
    raise misfit(f"{said} report, clear, {{clear_after: 3 runs}}")


_STALE: Final = {
    "anyOf": [
        {"type": "string", "enum": ["report", "clear"]},
        {
            "type": "object",
            "description": "Clear what nobody claims, but not at once.",
            "properties": {
                "clear_after": {
                    "type": "string",
                    "pattern": r"^[1-9]\d{0,3} (run|day)s?$",
                    "description": "So many applies that see it so, or days since the first of them.",
                }
            },
            "required": ["clear_after"],
            "additionalProperties": False,
        },
    ]
}


def _together(value: object) -> str:
    """A group's name, or nothing for an attribute that stands alone."""
    if value is False:
        return ""
    if not isinstance(value, str) or not re.fullmatch(_GROUP, value) or value in _NO_GROUPS:
        raise misfit(f"must be false, or the name of a group (small letters, digits, - and _), such as {SIP}")
    return value


_GROUP: Final = r"[a-z][a-z0-9_-]*"
_NO_GROUPS: Final = frozenset({"false", "no", "none", "off", "true", "yes", "on"})
_TOGETHER: Final = {"anyOf": [{"type": "boolean", "const": False}, {"type": "string", "pattern": f"^{_GROUP}$"}]}


def _object_class(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+(\.[0-9]+)+", name):  # RFC 4512 §1.4, oid
        raise misfit("this is no object class's name")
    return name


ObjectClass = Annotated[str, AfterValidator(_object_class)]
StaleChoice = Annotated[Stale, PlainValidator(_stale), WithJsonSchema(_STALE)]
Together = Annotated[str, PlainValidator(_together), WithJsonSchema(_TOGETHER)]
