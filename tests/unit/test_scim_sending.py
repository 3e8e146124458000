"""Forms of writes are learnt from a server's answers, by several writers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, cast

from connector.directories.scim.discovery import Dialect
from connector.directories.scim.edits import AttributeEdit, UserWrite, WriteSender
from connector.directories.scim.paths import AttributePath
from connector.directories.scim.protocol import Answer, Request
from connector.directories.scim.reading import UserResources

WRITERS = 4


class Server:
    """One that does not know `remove`, as its transport and its resources; all writers ask it before it answers one."""

    def __init__(self) -> None:
        self.transport = self
        self._all_have_asked = Barrier(WRITERS)

    def build_path(self, name: str) -> str:
        return f"/Users/{name}"

    def send(self, request: Request) -> Answer:
        (operation,) = cast("dict[str, Any]", request.body)["Operations"]
        if operation["op"] == "remove":
            self._all_have_asked.wait(10)
            return Answer(501, {}, b"", self.build_path(""))
        return Answer(204, {}, b"", self.build_path(""))


def test_whoever_asked_before_it_was_known_asks_again() -> None:
    wire = WriteSender(cast("UserResources", Server()), Dialect())
    writing = UserWrite({}, None, [AttributeEdit(AttributePath("nickName"), None)])
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(wire.send_write, [writing] * WRITERS))
    assert [answer.status for answer in answers] == [204] * WRITERS
