"""The lines of the log."""

from __future__ import annotations

from typing import Any

import structlog
from hypothesis import example, given, strategies as st

from connector.cli.logs import Json
from connector.model import Secret
from connector.reports.visible import cleaned

facts = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(-1e9, 1e9).map(lambda seconds: round(seconds, 3))
    | st.text()
    | st.builds(Secret, st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), facts, max_size=4))
@example({"user": "uid=agent1,ou=people", "attributes": ["mail"]})
@example({"user": "uid=Jörg", "all of ASCII": "".join(map(chr, range(128))), "half a pair": "\udcff"})
def test_an_event_is_made_visible_and_spelt_as_structlog_spells_it(event: dict[str, Any]) -> None:
    assert Json()(None, "info", event) == structlog.processors.JSONRenderer()(None, "info", cleaned(event))
