"""A person as SCIM sees it, with the extension, in the way that django-scim2's documentation extends it."""

from __future__ import annotations

from typing import Any

from django_scim.adapters import SCIMUser

from tests.support.scim_django.columns import CORE, EXTENSIONS


class PersonAdapter(SCIMUser):
    """Adds the extensions to what is shown and to what a PUT replaces."""

    def to_dict(self) -> dict[str, Any]:
        """As it is shown: never the password."""
        extensions = self.obj.extensions(secrets=False)
        shown: dict[str, Any] = {**super().to_dict(), "schemas": [CORE, *extensions], **extensions}
        return shown

    def from_dict(self, d: dict[str, Any]) -> None:
        """As it is replaced: what is not said is taken away, but for a password, which nobody can have read."""
        super().from_dict(d)
        for urn, columns in EXTENSIONS.items():
            for name, column in columns.items():
                if name != "sipPassword" or name in d.get(urn, {}):
                    setattr(self.obj, column, d.get(urn, {}).get(name))
