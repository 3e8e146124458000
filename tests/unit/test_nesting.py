"""How deeply JSON is nested, against a decoder that says so by what it returns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.model.nesting import MAX_DEPTH, too_deep

texts = st.text(st.sampled_from('[]{}"\\a\n'), max_size=6)
documents = st.recursive(
    st.none() | texts, lambda within: st.lists(within, max_size=3) | st.dictionaries(texts, within, max_size=3)
)


def depth(document: Any) -> int:
    if not isinstance(document, dict | list):
        return 0
    return 1 + max(map(depth, document.values() if isinstance(document, dict) else document), default=0)


@given(documents, st.integers(0, MAX_DEPTH + 3), st.booleans())
def test_it_is_the_depth_that_counts(document: Any, levels: int, objects: bool) -> None:
    for _ in range(levels):
        document = {"[": document, "x": "]"} if objects else [[], document, {}]
    assert too_deep(json.dumps(document).encode()) == (depth(document) > MAX_DEPTH)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"\\"]":'])
def test_also_where_the_end_is_missing(opening: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    assert too_deep(opening * (MAX_DEPTH + 1))
    assert not too_deep(b"[" + opening * (MAX_DEPTH // 2 // levels) + b"[]," * MAX_DEPTH)


def test_as_many_as_stand_side_by_side_need_no_look() -> None:
    deep = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    assert not too_deep(deep, ordinary=1)
    assert not too_deep(deep, MAX_DEPTH + 1)
    assert too_deep(deep)
