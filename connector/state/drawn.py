"""The last full plan of a job, as far as the next one is compared with it."""

from __future__ import annotations

from msgspec import json

from connector.model import Drawn
from connector.state.database import Database, sound


class DrawnPlans:
    """`by`: who has them drawn: people (empty), or `serve`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, job: str, by: str = "") -> Drawn:
        """The last one; an empty one where there was none. Raises StateError."""
        rows = self._database.rows("select plan from drawn where job = ? and drawn_by = ?", job, by)
        with sound(self._database, "the last plan"):
            return json.decode(rows[0][0], type=Drawn) if rows else Drawn()

    def note(self, job: str, drawn: Drawn, by: str = "") -> None:
        """Keep it in place of the one before. Raises StateError."""
        row = (job, by, json.encode(drawn).decode())
        with self._database.writing() as transaction:
            transaction.execute("delete from drawn where job = ? and drawn_by = ?", (job, by))
            transaction.execute("insert into drawn (job, drawn_by, plan) values (?, ?, ?)", row)
