"""A person as a site's table has it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, Group
from django.db import models
from django_scim.models import AbstractSCIMUserMixin

from tests.support.scim_django.columns import CORE, EXTENSIONS


class Person(AbstractSCIMUserMixin, AbstractBaseUser):
    """One user. Absent is NULL in the columns that came with the extension."""

    username = models.CharField(max_length=254, unique=True)
    first_name = models.CharField(max_length=100, default="")
    last_name = models.CharField(max_length=100, default="")
    email = models.CharField(max_length=254, default="")
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(auto_now_add=True)
    employee_number = models.CharField(max_length=100, null=True)  # noqa: DJ001  # absent is not empty
    account_code = models.CharField(max_length=100, null=True)  # noqa: DJ001  # the same
    work_no = models.IntegerField(null=True)
    sip_account = models.CharField(max_length=100, null=True)  # noqa: DJ001  # the same
    sip_password = models.CharField(max_length=200, null=True)  # noqa: DJ001  # the same
    sip_service_ip = models.CharField(max_length=100, null=True)  # noqa: DJ001  # the same
    sip_service_port = models.IntegerField(null=True)

    objects: ClassVar[Any] = BaseUserManager()
    USERNAME_FIELD = "username"

    def __str__(self) -> str:
        return str(self.username)

    @property
    def scim_groups(self) -> Any:
        """Nobody is in any group here."""
        return Group.objects.none()

    def set_scim_id(self, is_new: bool) -> None:
        """Keep an id that was given."""
        if self.scim_id is None:
            super().set_scim_id(is_new)

    @classmethod
    def of(cls, user: dict[str, Any]) -> Self:
        """What SCIM shows, and secrets, as a row."""
        person = cls(
            scim_id=user.get("id"), scim_username=user["userName"], username=user["userName"],
            scim_external_id=user.get("externalId") or "",
            first_name=user.get("name", {}).get("givenName", ""), last_name=user.get("name", {}).get("familyName", ""),
            email=next((each["value"] for each in user.get("emails", [])), ""), is_active=user.get("active", True),
        )  # fmt: skip
        for urn, columns in EXTENSIONS.items():
            for name, column in columns.items():
                setattr(person, column, user.get(urn, {}).get(name))
        return person

    def extensions(self, *, secrets: bool) -> dict[str, dict[str, Any]]:
        """What it holds of each extension, by URN; what is absent is left out."""
        found = {}
        for urn, columns in EXTENSIONS.items():
            held = {name: getattr(self, column) for name, column in columns.items() if secrets or name != "sipPassword"}
            if held := {name: value for name, value in held.items() if value is not None}:
                found[urn] = held
        return found

    def document(self, *, secrets: bool) -> dict[str, Any]:
        """The user as SCIM would show it, perhaps with secrets."""
        extensions = self.extensions(secrets=secrets)
        return {
            "schemas": [CORE, *extensions],
            "id": self.scim_id,
            "externalId": self.scim_external_id,
            "userName": self.username,
            "name": {"givenName": self.first_name, "familyName": self.last_name},
            "emails": [{"value": self.email, "primary": True}],
            "active": self.is_active,
        } | extensions
