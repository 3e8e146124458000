"""States of every kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from connector.state.store import State
from tests.support.postgres import Postgres
from tests.support.states import KeptState

_numbers = count()


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("pooler", marks=[pytest.mark.postgresql, pytest.mark.pgbouncer]),
    ]
)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> KeptState:
    if request.param == "sqlite":
        path = tmp_path / "state.db"

        def execute(sql: str) -> Sequence[tuple[object, ...]]:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                return db.execute(sql).fetchall()

        return KeptState(f"sqlite:///{path}", execute)
    server: Postgres = request.getfixturevalue("postgresql")
    name = f"state{next(_numbers)}"
    url = server.create(name)
    if request.param == "pooler":
        url = request.getfixturevalue("pooler").url(name)
    return KeptState(url, lambda sql: server.run(name, sql))


@pytest.fixture
def state(kept: KeptState) -> Iterator[State]:
    with closing(kept.open()) as opened:
        yield opened
