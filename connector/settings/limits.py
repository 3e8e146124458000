"""How a file says a limit: a number of users, or a percentage."""

from typing import Annotated, Final

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from connector.reconcile.checks.limits import Limit

_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\d{1,9}%?$"},
    ]
}


def as_written(limit: Limit) -> str | int:
    """A limit as a file says it: `20%` or a number."""
    return str(limit) if limit.percent else limit.number


UserLimit = Annotated[
    InstanceOf[Limit], BeforeValidator(Limit.parse), WithJsonSchema(_SCHEMA)
]
