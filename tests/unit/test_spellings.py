"""A secret is recognised in other people's messages, however they write it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from connector.net.quoting import list_spellings, quote_safely

SECRET = 'p\u00e4 ss&"<w>/+%'
WAYS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text, ensure_ascii=False)),
    "URL": quote,
    "HTML": html.escape,
    "hexadecimal": lambda text: text.encode().hex().upper(),
    "Basic": lambda text: base64.b64encode(f"someone:{text}".encode()).decode(),
    "LDIF": lambda text: base64.b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_hidden_however_it_is_written(way: str) -> None:
    secret = SECRET if way != "JSON in JSON" else SECRET.replace('"', "")
    written = WAYS[way](secret)
    said = quote_safely(f"before {written} behind", [secret])
    assert "<secret>" in said
    assert said.startswith("before ")
    assert said.endswith(" behind")
    assert secret not in said
    assert "ss&" not in said


@given(st.text(min_size=1), st.binary(), st.binary())
def test_in_base64_it_is_found_wherever_it_begins(secret: str, before: bytes, behind: bytes) -> None:
    coded = base64.b64encode(before + secret.encode("utf-8", "surrogatepass") + behind).decode()
    long = [each for each in list_spellings(secret) if len(each) >= 6]
    assert len(secret.encode("utf-8", "surrogatepass")) < 6 or any(each in coded for each in long)


def test_a_short_secret_is_not_found_in_words_that_have_nothing_to_do_with_it() -> None:
    assert list_spellings("7") == ["7"]
    assert quote_safely("error 37", ["x7"]) == "error 37"


def test_what_a_message_says_is_a_password_is_not_repeated_whatever_it_is() -> None:
    for text in (
        '"sipPwd": "a b\\" c", more',
        "sipPwd='a b c', more",
        "password is a, more",
        '\\"sipPwd\\":\\"a b c\\", more',
    ):
        said = quote_safely(text)
        assert "<secret>" in said
        assert said.endswith(", more")
        assert " b" not in said
        assert " a" not in said.replace("is a", "")
