"""scim2-server as a SCIM server of the tests: in memory, with ETags, Bulk, and index and cursor paging (RFC 9865)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scim2_models import (
    Meta,
    Resource,
    ResourceType,
    Schema,
    ScimProvider,
    ServiceProviderConfig,
    UnauthorizedException,
)
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage, InMemoryStorage
from scim2_server.requests import ScimRequest
from scim2_server.service import ScimService
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)

BEARER = {"type": "oauthbearertoken", "name": "OAuth Bearer Token", "description": "A token that is known beforehand."}
PAGING = {
    "cursor": True,
    "index": True,
    "defaultPaginationMethod": "index",
    "defaultPageSize": 100,
    "maxPageSize": 1000,
}


class _Application(ASGIApplication):
    """Lets in whoever has the token."""

    token = ""

    def check_auth(self, request: ScimRequest) -> None:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(token, self.token):
            raise UnauthorizedException


class _Backdoor:
    """The storage, as documents."""

    def __init__(self, storage: InMemoryStorage, model: type[Resource[Any]]) -> None:
        self._storage, self._model = storage, model

    def _resource(self, user: dict[str, Any]) -> Resource[Any]:
        resource = self._model.model_validate(user)
        now = self._storage.clock()
        resource.id = user.get("id") or secrets.token_hex(16)
        resource.meta = Meta(resource_type="User", created=now, last_modified=now, version=self._storage.next_version())
        return resource

    def put(self, users: Iterable[dict[str, Any]]) -> list[str]:
        added = [self._resource(user) for user in users]
        self._storage.resources = [*self._storage.resources, *added]
        return [str(each.id) for each in added]

    def stored(self) -> list[dict[str, Any]]:
        return [each.model_dump(exclude_none=True) for each in self._storage.resources]

    def restore(self, users: Iterable[dict[str, Any]]) -> None:
        self._storage.resources = [self._resource(user) for user in users]


def serve(folder: Path, options: dict[str, Any]) -> tuple[ASGIApplication, _Backdoor]:
    """The application, and the way behind it. `features` of the options go over the ServiceProviderConfig's."""
    schemas = [*load_default_schemas().values(), *map(Schema.model_validate, options["schemas"])]
    types = load_default_resource_types()
    user = types["User"].model_dump()
    user["schemaExtensions"] += [{"schema": each["id"], "required": False} for each in options["schemas"]]
    types["User"] = ResourceType.model_validate(user)
    features = load_default_service_provider_config().model_dump()
    features |= {"pagination": PAGING, "authenticationSchemes": [BEARER]} | options["features"]
    config = ServiceProviderConfig.model_validate(features)
    provider = ScimProvider.from_discovery(schemas, types.values(), config=config)
    service = ScimService(provider, secret=secrets.token_urlsafe(32))
    storage = InMemoryStorage()
    application = _Application(AsyncInMemoryStorage(storage), provider, service)
    application.token = options["token"]
    return application, _Backdoor(storage, service.get_model(types["User"]))
