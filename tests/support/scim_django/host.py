"""django-scim2 as a SCIM server of the tests: SQLite, `replace` alone, no ETags, no Bulk, no cursors."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import django
from django.conf import settings

_APP = __package__


class _Backdoor:
    """The table of users, as documents."""

    def put(self, users: Iterable[dict[str, Any]]) -> list[str]:
        from django.db import transaction  # noqa: PLC0415  # only once Django is set up

        from tests.support.scim_django.models import Person  # noqa: PLC0415  # the same

        with transaction.atomic():
            people = [Person.of(user) for user in users]
            for person in people:
                person.save()
        return [str(person.scim_id) for person in people]

    def stored(self) -> list[dict[str, Any]]:
        from tests.support.scim_django.models import Person  # noqa: PLC0415  # the same

        return [person.document(secrets=True) for person in Person.objects.all()]

    def restore(self, users: Iterable[dict[str, Any]]) -> None:
        from tests.support.scim_django.models import Person  # noqa: PLC0415  # the same

        Person.objects.all().delete()
        self.put(users)


def serve(folder: Path, options: dict[str, Any]) -> tuple[Any, _Backdoor]:
    """The application, and the way behind it."""
    settings.configure(
        SECRET_KEY=secrets.token_urlsafe(32),
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_scim", _APP],
        MIDDLEWARE=[f"{_APP}.token.only_with_token"],
        ROOT_URLCONF=f"{_APP}.urls",
        AUTH_USER_MODEL="scim_django.Person",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "people.sqlite3"}},
        LOGGING_CONFIG=None,
        USE_TZ=True,
        SCIM_TOKEN=options["token"],
        SCIM_SCHEMAS=options["schemas"],
        SCIM_SERVICE_PROVIDER={
            "SCHEME": "http",
            "NETLOC": "localhost",  # without the port, as behind many a gateway
            "AUTHENTICATION_SCHEMES": [
                {"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "A token known beforehand."}
            ],
            "USER_ADAPTER": f"{_APP}.adapter.PersonAdapter",
            "USER_FILTER_PARSER": f"{_APP}.filters.PersonFilter",
            "SCHEMAS_GETTER": f"{_APP}.filters.schemas",
        },
    )
    django.setup()
    from django.core.asgi import get_asgi_application  # noqa: PLC0415  # the same
    from django.core.management import call_command  # noqa: PLC0415  # the same

    call_command("migrate", run_syncdb=True, verbosity=0)
    return get_asgi_application(), _Backdoor()
