"""The Temporal server that tests of the fleet talk to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.temporal import Temporal

pytestmark = pytest.mark.temporal


@pytest.mark.parametrize("end", [Temporal.stop, Temporal.kill])
def test_it_comes_back_on_the_same_port_and_with_what_it_knew(tmp_path: Path, end: object) -> None:
    with Temporal.start(tmp_path / "server") as server:
        port, namespace = server.port, server.namespace()
        start = ("workflow", "start", "--type", "Any", "--task-queue", "any", "--workflow-id", "one")
        server.cli(*start, "--namespace", namespace)
        assert callable(end)
        end(server)
        with pytest.raises(RuntimeError):
            server.history(namespace, "one")
        server.restart()
        assert server.port == port
        assert server.history(namespace, "one")[0]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
