"""What can be filtered by, and the schemas that are shown."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django_scim.filters import UserFilterQuery
from django_scim.schemas import load_schemas

from tests.support.scim_django.columns import EXTENSIONS


class PersonFilter(UserFilterQuery):
    """The columns by (attribute, sub-attribute, URN)."""

    attr_map = (
        UserFilterQuery.attr_map
        | {("externalId", None, None): "scim_external_id", ("emails", "value", None): "email"}
        | {(name, None, urn): column for urn, columns in EXTENSIONS.items() for name, column in columns.items()}
    )


def schemas() -> list[dict[str, Any]]:
    """django-scim2's own, and those that the tests add."""
    return [*load_schemas(), *settings.SCIM_SCHEMAS]
