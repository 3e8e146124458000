"""What a server publishes on several pages is read to the last one, and a list that does not end is no list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connector.directories.scim.discovery import MOST
from connector.directories.scim.protocol import Answer, Request
from connector.errors import IncompleteRead, TruncatedError
from connector.model import View
from tests.support.scim_provider import CORE, SEAT, Json, Provider, opened, said, schemas, user

Paged = Callable[[dict[str, str]], Json]


def server(path: str, page: Callable[[dict[str, str]], Any]) -> tuple[Provider, list[dict[str, str]]]:
    """A server that answers one of its own pages so; and with which parameters it was asked for it."""
    provider, asked = Provider(user(1)), []

    def meddle(request: Request) -> Answer | None:
        if request.path != path:
            return None
        asked.append(dict(request.params))
        answer = page(asked[-1])
        return answer if isinstance(answer, Answer) else said(answer, request=request)

    provider.meddle = meddle
    return provider, asked


def by_index(all_: list[Json], size: int, *, told: int | None = None) -> Paged:
    def page(params: dict[str, str]) -> Json:
        start = int(params.get("startIndex", "1")) - 1
        some = all_[start : start + size]
        total = len(all_) if told is None else told
        return {"totalResults": total, "itemsPerPage": len(some), "startIndex": start + 1, "Resources": some}

    return page


def by_cursor(all_: list[Json], size: int) -> Paged:
    def page(params: dict[str, str]) -> Json:
        start = int(params.get("cursor", "0"))
        more = {"nextCursor": str(start + size)} if start + size < len(all_) else {}
        return {"Resources": all_[start : start + size]} | more

    return page


def published(provider: Provider) -> bool:
    """Whether the schema of the extension was found."""
    description = opened(provider, View(("userName", SEAT))).describe()
    return not any("publishes no schema" in caution for caution in description.cautions)


@pytest.mark.parametrize("paged", [by_index, by_cursor])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_schemas_are_read_from_every_page(paged: Callable[..., Paged], size: int) -> None:
    others = [{"id": f"urn:example:schemas:{number}", "attributes": []} for number in range(5)]
    provider, asked = server("/Schemas", paged([*others, *schemas()], size))
    assert published(provider)
    assert len(asked) == -(-(len(others) + len(schemas())) // size)


def test_the_endpoint_of_users_is_found_on_a_further_page() -> None:
    kinds = [
        {"id": "Group", "schema": "urn:x", "endpoint": "/Groups"},
        {"id": "User", "schema": CORE, "endpoint": "/People"},
    ]
    provider, _ = server("/ResourceTypes", by_index(kinds, 1))
    provider_answer, where = provider.answer, []

    def answer(request: Request) -> Answer:
        where.append(request.path)
        return provider_answer(request)

    provider.answer = answer  # type: ignore[method-assign]
    with pytest.raises(IncompleteRead):
        list(opened(provider).scan())
    assert any(path.startswith("/People") for path in where)


@pytest.mark.parametrize("page", [
    lambda params: {"totalResults": 9, "Resources": schemas()},
    by_index(schemas(), 1, told=50),
    lambda params: {"totalResults": 50, "Resources": []},
    lambda params: {"Resources": schemas(), "nextCursor": "same"},
    lambda params: {"totalResults": 9, "Resources": schemas()} if not params else [],
], ids=["paging ignored", "total too high", "empty", "cursor in a circle", "no list"])  # fmt: skip
def test_a_list_that_never_comes_to_its_number_is_an_incomplete_read(page: Paged) -> None:
    provider, asked = server("/Schemas", page)
    with pytest.raises(TruncatedError, match="the server reports"):
        opened(provider).describe()
    assert len(asked) <= len(schemas()) + 2


def test_a_list_without_an_end_is_given_up() -> None:
    def page(params: dict[str, str]) -> Json:
        start = int(params.get("startIndex", "1"))
        some = [{"id": f"urn:example:{number}", "attributes": []} for number in range(start, start + 1_000)]
        return {"totalResults": 1 << 40, "Resources": some}

    provider, asked = server("/Schemas", page)
    with pytest.raises(TruncatedError, match="the server reports"):
        opened(provider).describe()
    assert len(asked) == MOST // 1_000 + 1


def test_a_further_page_that_is_refused_is_an_incomplete_read() -> None:
    def page(params: dict[str, str]) -> Any:
        return said({"detail": "not now"}, 500) if params else {"totalResults": 9, "Resources": schemas()}

    with pytest.raises(IncompleteRead, match=r"a further page of /Schemas was answered with 500 .*: not now"):
        opened(server("/Schemas", page)[0]).describe()


@pytest.mark.parametrize("told", [None, 1, 0, "9", True], ids=str)
def test_a_number_that_is_missing_or_too_low_or_no_number_is_nothing_to_wait_for(told: Any) -> None:
    page: Json = {"Resources": schemas()} | ({} if told is None else {"totalResults": told})
    provider, asked = server("/Schemas", lambda params: page)
    assert published(provider)
    assert len(asked) == 1
