"""Which users could take which attributes, by their object classes: the checks of a mapping by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from connector.model import AttributeChange, User
from connector.reconcile.checks.schema_checks import SchemaChecks, classes_of

_SOME = ("some value",)


class Survey:
    """Users by their object classes, of which there are few sets; one user stands for all of its set.

    What a class requires besides may differ between these; a plan looks at each user that it changes.
    """

    def __init__(self, attributes: Collection[str], schema_checks: SchemaChecks) -> None:
        self._changes = tuple(AttributeChange(name, (), _SOME) for name in attributes)
        self._schema_checks = schema_checks
        self._examples: dict[frozenset[str], User] = {}
        self._counts: Counter[frozenset[str]] = Counter()

    def add(self, user: User) -> None:
        classes = classes_of(user)
        self._examples.setdefault(classes, user)
        self._counts[classes] += 1

    @property
    def users(self) -> int:
        return self._counts.total()

    def barred(self) -> dict[str, Counter[str]]:
        """By attribute why users could not take it, with how many these are."""
        found: dict[str, Counter[str]] = {change.name: Counter() for change in self._changes}
        for classes, user in self._examples.items():
            for name, why in self._schema_checks.refused(user, self._changes).items():
                found[name][why] += self._counts[classes]
        return found
