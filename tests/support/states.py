"""The database of a state, for tests that look into it past the questions that the program asks."""

from __future__ import annotations

from pathlib import Path

from connector.state.database import Database
from connector.state.postgresql import PostgreSQL
from connector.state.sqlite import Sqlite
from connector.state.store import open_state


def database(url: str) -> Database:
    """The one at this address, with the tables of a state. Whoever opens it closes it."""
    open_state(url).close()
    return Sqlite(Path(url.removeprefix("sqlite:///"))) if url.startswith("sqlite:///") else PostgreSQL(url)
