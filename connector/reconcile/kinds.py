"""The kinds of problems, each with what it means in plain words, what a reviewer has to act on first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.model import Problem

KINDS: Final[dict[str, str]] = {
    "invalid": "A record of the source cannot be read. It claims nobody, and it takes nothing from anybody.",
    "contested": "Several agents claim the same user. None of them is written; somebody has to say whose it is.",
    "ambiguous": "A match rule finds several users for one agent. None of them is touched; a pin decides.",
    "pin": "A line of the pins file cannot be followed.",
    "shared": "One value that one user at a time may hold is wanted for several users. None of them gets it.",
    "reassigned": "A value that one user at a time may hold is still held by another user, and nothing frees it.",
    "another job": "Another job wrote the attribute last. It stays as it is, unless the mapping says take_over.",
    "flapping": "A value that we write and somebody else changes back, again and again. Find out who else writes it.",
    "refused": "The directory did not let earlier runs write the user. A few such users are tried in a run, last.",
    "value": "A value that the attribute cannot hold. The attribute stays as it is.",
    "schema": "The directory's schema forbids it for the user's entry. The attribute stays as it is.",
    "rights": "The directory says that the job's account may not write the attribute there. It stays as it is.",
    "together": "Attributes that are written together or not at all. One of them is held back, and so are the others.",
    "exclude": "An agent or a user is on the exclude list, and is not written.",
    "tenant": "A field of the tenant itself is missing or faulty. What is made of it stays as it is.",
    "unreadable": "An attribute that we may not read: whether it is right is not known, and nothing is planned for it.",
    "stale": "A user holds something we wrote, and no agent claims it any more.",
    "unsettled": "A run heard no answer from its server. What it sent is ours until that server, or the values, tell.",
    "undo": "Something that the run wrote cannot be taken back. It stays as it is.",
    "unmatched": "No match rule finds a user for the agent.",
}
_PLACES: Final = {kind: number for number, kind in enumerate(KINDS)}


def explain(kind: str) -> str:
    """What the kind means; a kind that is not in the table speaks through the reasons of its lines alone."""
    return KINDS.get(kind, "Each line says why.")


def grouped(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Problems by kind: first the kinds of the table, in its order, then all others."""
    groups: dict[str, list[Problem]] = {kind: [] for kind in KINDS}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    return {kind: group for kind, group in groups.items() if group}


def place(kind: str) -> int:
    """Where a kind comes in that order; one that is not in the table comes last."""
    return _PLACES.get(kind, len(_PLACES))
