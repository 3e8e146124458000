"""A tenant that keeps whoever asks in the middle of a run."""

from __future__ import annotations

import threading
from typing import Any

from connector.demo.simulator import Request, Simulator
from tests.support.jobs import cec_source
from tests.support.serving import PATIENCE
from tests.support.slapd import SYNC_PASSWORD

ENV = {"CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret", "LDAP_PASSWORD": SYNC_PASSWORD}


class SlowCec(Simulator):
    """A tenant that answers the query when it is let: until then whoever asks is in the middle of a run."""

    def __init__(self, document: dict[str, Any] | bytes) -> None:
        super().__init__(document)
        self._asked = threading.Event()
        self._let = threading.Event()
        self.source = cec_source(self.url, timeout=600)

    def answer(self, request: Request) -> None:
        if request.command == "GET":
            self._asked.set()
            self._let.wait(600)
        super().answer(request)

    def wait(self) -> None:
        """Until somebody asks, and so holds its directory."""
        assert self._asked.wait(PATIENCE)

    def let(self) -> None:
        self._let.set()

    def hold(self) -> None:
        """Keep whoever asks from now on."""
        self._let.clear()
        self._asked.clear()

    def __exit__(self, *error: object) -> None:
        self.let()
        super().__exit__(*error)
