"""Writes on the wire: the form that a server understands, which is learnt from its answers while it is written to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.scim import edits as editing
from connector.directories.scim.answers import good
from connector.directories.scim.bodies import body
from connector.directories.scim.dialect import Dialect, adapted, learnt
from connector.directories.scim.edits import Edit
from connector.directories.scim.paging import Params
from connector.directories.scim.paths import Resource
from connector.directories.scim.protocol import MEDIA_TYPE, Answer, Method, Request
from connector.directories.scim.reading import Resources

_NO_SUCH_OPERATION: Final = (400, 405, 501)
_NO_VERSION: Final = 'W/"no-such-version"'
WHOLE: Final = (("excludedAttributes", "x509Certificates"),)
"""Asks for the user in the answer to a PATCH, where a server would else say 204 (RFC 7644
§3.5.2, §3.9)."""


class Writing(Struct, frozen=True):
    """One user's edits: what the user was `before`, with its version, if there is one that is heeded.

    `still`: whether it would be the same after a pause.
    """

    id: str
    before: Resource
    edits: list[Edit]
    version: str
    still: Callable[[], bool]


class Wire:
    """Sends writes to one server.

    `takes_versions`: it says that it heeds versions, or has demanded one (428); `heeds_versions`: it has refused one
    that was none, which is tried with the first write.
    """

    def __init__(self, resources: Resources, dialect: Dialect) -> None:
        self._resources = resources
        self._dialect = dialect
        self._trying = threading.Lock()
        self._tried = False
        self.takes_versions = self._asks_back = dialect.versions
        self.heeds_versions = False

    def write(self, writing: Writing) -> Answer:
        """The answer to a write: 412 where the user is no longer of that version. Raises IncompleteRead."""
        if writing.version and self._first():
            answer = self._write(replace(writing, version=_NO_VERSION))
            if good(
                answer
            ):  # versions are nothing to it, and the user was compared just before
                return answer
            self.heeds_versions = answer.status == HTTPStatus.PRECONDITION_FAILED
        return self._write(writing)

    def _first(self) -> bool:
        """Whether it has still to be found out if versions are heeded; by one thread, once."""
        with self._trying:
            tried, self._tried = self._tried, True
        return not tried

    def _write(self, writing: Writing) -> Answer:
        """One request; another one in each other form that a refusal asks for, which is kept if it is understood."""
        spoken = self._dialect  # others may learn meanwhile
        answer = self._send_as(writing, spoken)
        while (
            not good(answer)
            and (other := _find_form(writing, spoken, answer)) is not None
        ):
            again = self._send_as(writing, other)
            if (
                again.status == HTTPStatus.PRECONDITION_FAILED
                and writing.version != _NO_VERSION
            ):
                # the version was changed by the first one, which did a part
                # before its refusal
                return answer
            spoken, answer = other, again
        if good(answer):
            with self._trying:
                self._dialect = learnt(self._dialect, spoken, cleared=_clears(writing))
        return answer

    def _send_as(self, writing: Writing, dialect: Dialect) -> Answer:
        """The answer to one way of saying it."""
        if dialect.writes == "put":
            return self._send(
                writing, dialect, "PUT", editing.edited(writing.before, writing.edits)
            )
        document = body(writing.edits, dialect, writing.before)
        if not self._asks_back:
            return self._send(writing, dialect, "PATCH", document)
        # of a server that heeds versions, also what the user has become, if it can be had
        # in the answer
        answer = self._send(writing, dialect, "PATCH", document, WHOLE)
        if good(answer):
            self._asks_back = bool(answer.content)
        elif (
            answer.status == HTTPStatus.BAD_REQUEST and adapted(dialect, answer) is None
        ):  # that parameter perhaps
            without = self._send(writing, dialect, "PATCH", document)
            self._asks_back = not good(without)
            # what is refused then for its version was changed by the first one, which did a
            # part before its refusal
            return (
                answer if without.status == HTTPStatus.PRECONDITION_FAILED else without
            )
        return answer

    def _send(
        self,
        writing: Writing,
        dialect: Dialect,
        method: Method,
        document: Any,
        params: Params = (),
    ) -> Answer:
        """A request that is refused where the user is of another version, or may no longer be written."""
        address = self._resources.address(writing.id)
        media = (
            (("Content-Type", dialect.media),) if dialect.media != MEDIA_TYPE else ()
        )
        headers = (
            *((("If-Match", writing.version),) if writing.version else ()),
            *media,
        )
        still = None if writing.version else writing.still
        return self._resources.transport.send(
            Request(method, address, params, document, headers, still=still)
        )


def _clears(writing: Writing) -> bool:
    return any(edit.value is None for edit in writing.edits)


def _find_form(writing: Writing, spoken: Dialect, answer: Answer) -> Dialect | None:
    """Another form, which the refusal can only mean; or the other way of emptying, where it is not known yet."""
    other = adapted(spoken, answer)
    if (
        other is None
        and spoken.writes == "patch"
        and spoken.clearing is None
        and _clears(writing)
    ):
        return (
            replace(spoken, clearing="null")
            if answer.status in _NO_SUCH_OPERATION
            else None
        )
    return other
