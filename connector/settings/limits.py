"""How a file says a limit: a number of users, or a percentage."""

from typing import Annotated, Final

from connector.reconcile.checks.limits import Limit
from connector.settings.markers import BeforeValidator, InstanceOf, WithJsonSchema

_SCHEMA: Final = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,9}%?$"}]}


def as_written(limit: Limit) -> str | int:
    """A limit as a file says it: `20%` or a number."""
    return str(limit) if limit.percent else limit.number


UserLimit = Annotated[Limit, InstanceOf(), BeforeValidator(Limit.parse), WithJsonSchema(_SCHEMA)]
