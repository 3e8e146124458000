"""What some keys of the mapping file may say, each read by a function of its own."""

import re
from typing import Annotated, Final

from msgspec import Struct
from pydantic import PlainValidator, WithJsonSchema

from connector.reconcile.mapping import SIP, Disabled, Grace, Stale
from connector.settings.shape import matching, misfit

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
_GROUP: Final = r"[a-z][a-z0-9_-]*"
_NO_GROUPS: Final = frozenset({"false", "no", "none", "off", "true", "yes", "on"})
_TOGETHER: Final = {
    "anyOf": [
        {"type": "boolean", "const": False},
        {"type": "string", "pattern": f"^{_GROUP}$"},
    ]
}


class StaleRules(Struct, frozen=True):
    """What becomes of our values of users whom no agent claims; of `disabled` ones that the filter leaves out."""

    unclaimed: Stale = "report"
    disabled: Disabled = "report"


def _stale(value: object) -> StaleRules:
    if isinstance(value, StaleRules):
        return value
    if (
        isinstance(value, dict)
        and value
        and value.keys() <= {"unclaimed", "clear_after", "disabled"}
    ):
        if {"unclaimed", "clear_after"} <= value.keys():
            raise misfit("give either clear_after or unclaimed, not both")
        grace = _grace(value["clear_after"]) if "clear_after" in value else None
        disabled = _choice(value.get("disabled", "report"), "disabled")
        return StaleRules(
            grace or _choice(value.get("unclaimed", "report"), "unclaimed"), disabled
        )
    if value in ("report", "clear"):
        return StaleRules("clear" if value == "clear" else "report")
    said = (
        f"{value!r} is none of"
        if isinstance(value, str) and len(value) <= 40
        else "must be one of"
    )
    raise misfit(
        f"{said} report, clear, {{clear_after: 3 runs}}, {{unclaimed: clear, disabled: clear}}"
    )


def _grace(after: object) -> Grace:
    found = (
        re.fullmatch(r"([1-9]\d{0,3}) (run|day)s?", after)
        if isinstance(after, str)
        else None
    )
    if found is None:
        raise misfit(
            "clear_after must be a number of runs or of days, such as 3 runs or 7 days"
        )
    return Grace(int(found[1]), "runs" if found[2] == "run" else "days")


def _choice(value: object, key: str) -> Disabled:
    if value == "clear":
        return "clear"
    if value == "report":
        return "report"
    raise misfit(f"{key} must be report or clear")


def _together(value: object) -> str:
    """A group's name, or nothing for an attribute that stands alone."""
    if value is False:
        return ""
    if (
        not isinstance(value, str)
        or not re.fullmatch(_GROUP, value)
        or value in _NO_GROUPS
    ):
        raise misfit(
            f"must be false, or the name of a group (small letters, digits, - and _), such as {SIP}"
        )
    return value


ObjectClass = Annotated[
    str,
    matching(
        r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+(\.[0-9]+)+", "this is no object class's name"
    ),
]
"""An oid of RFC 4512 §1.4."""
StaleChoice = Annotated[StaleRules, PlainValidator(_stale), WithJsonSchema(_STALE)]
Together = Annotated[str, PlainValidator(_together), WithJsonSchema(_TOGETHER)]
