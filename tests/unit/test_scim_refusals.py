"""What is shown of a SCIM server's refusal: words of a closed list, and nothing of what anybody ever sent it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from connector.directories.common.server_text import SHOWN, select_shown_words
from connector.directories.scim.protocol import Answer, advise_right, describe_refusal
from tests.support.scim_servers import CEC

SECRET = 'c4narY-Zq7&ä"wolf/moon+tail'
WORDY = "nightingaleharbour"
TOKEN = "token-Canary93xK"


def patch(secret: str = SECRET) -> dict[str, Any]:
    return {"Operations": [{"op": "replace", "path": f"{CEC}:sipPassword", "value": secret}]}


def refused(body: Any, sent: Any = None, status: int = 400) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return describe_refusal(Answer(status, {}, content, "https://scim.example.org/Users/1", sent=sent, proofs=(TOKEN,)))


DETAIL = "Attribute emails.value: not a valid e-mail address, at most 64 characters (RFC 5321)"


@pytest.mark.parametrize(("body", "words"), [
    ({"scimType": "invalidValue", "detail": DETAIL}, f", invalidValue: {DETAIL.replace('(RFC 5321)', '…')}"),
    ({"detail": "Attribute 'userName' is required"}, ": Attribute 'userName' is required"),
    ({"detail": f"Attribute {CEC}:sipPassword is too long"}, f": Attribute {CEC}:sipPassword is too long"),
    ({"detail": "sipPassword is too short"}, ": sipPassword is too short"),
    ({"detail": "User 2819c223-7f76-453a-919d-413861904646 cannot be changed"}, ": User … cannot be changed"),
    ({"error": "invalid_request", "message": "The field displayName is missing"}, ": The field displayName is missing"),
    ({"Errors": {"description": "Rate limit reached", "code": 429}}, ": Rate limit reached"),
    ({"errors": [{"message": "Not unique"}]}, ": Not unique"),
    (b"Access denied by policy", ": Access denied by policy"),
    (b"<!DOCTYPE html><html><head><title>Not allowed &amp; here reported</title><p>limit", ""),
    (b"<html><p>limit</p></html>", ""),
    ("Ungültiger Wert für das Attribut title", ""),
    ({"detail": "属性の値が無効です。"}, ""),
    ({"detail": "emails.0.value isn't e-mail; correct-horse-battery"}, ": emails.0.value isn't e-mail; …"),
    ({"detail": {"detail": ["not unique"]}}, ": not unique"),
    ({"detail": None}, ""),
    ([], ""),
    (b"", ""),
    (b"\x00\x01\x02", ""),
    (b"\xff\xfe\xfd", ""),
], ids=str)  # fmt: skip
def test_the_words_of_a_refusal_are_shown_wherever_a_server_puts_them(body: Any, words: str) -> None:
    assert refused(body, patch()) == f"400 Bad Request{words}"


SPELT: dict[str, Callable[[str], str]] = {
    "plain": str,
    "other case": str.upper,
    "JSON": json.dumps,
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"value": secret})),
    "URL": lambda secret: quote(secret, safe=""),
    "HTML": html.escape,
    "base64": lambda secret: base64.b64encode(b"x" + secret.encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "beginning": lambda secret: secret[:5],
    "middle": lambda secret: secret[5:11],
    "end": lambda secret: secret[-5:],
    "spaced": lambda secret: f"{secret[:6]} {secret[6:]}",
    "quoted": lambda secret: f"'{secret}'.",
    "in a word": lambda secret: f"value{secret}value",
}


@pytest.mark.parametrize("secret", [SECRET, WORDY])
@pytest.mark.parametrize("how", SPELT)
def test_what_was_sent_is_never_repeated_however_the_server_spells_it(how: str, secret: str) -> None:
    echo = SPELT[how](secret)
    shown = refused({"detail": f"The given value {echo} is too short"}, patch(secret))
    assert "The given value" in shown
    assert "is too short" in shown
    lower = shown.lower()
    left = {lower[at : at + 4] for at in range(len(lower))} & {
        spelt[at : at + 4] for spelt in (secret.lower(), echo.lower()) for at in range(len(spelt) - 3)
    }
    assert not left - {"valu", "alue"}


@pytest.mark.parametrize("detail", [
    f"bad token {TOKEN} given here now", f"sipPassword={WORDY} is bad", f'{{"password": "{WORDY} {WORDY}"}} is bad now',
    f"pwd was {WORDY} in this request", f"value of sipPassword ({WORDY}) is already there", f"secret: {WORDY}",
    f"previous credential {WORDY} may not be used again", f"the value {WORDY[::-1]} is repeated",
    f"value {' '.join(WORDY)} is not allowed", f"the value '{WORDY}' of another user is the same",
])  # fmt: skip
def test_neither_who_asked_nor_what_is_said_to_be_a_password_is_repeated(detail: str) -> None:
    shown = refused({"detail": detail})
    assert WORDY not in shown
    assert TOKEN not in shown
    assert "oken-" not in shown


@pytest.mark.parametrize(("detail", "shown"), [
    ("The old password: value is used", ": The old password: … is used"),
    ("The password 'one value' is too short", ": The password … is too short"),
    ("The value (active) is not valid", ": The value (active) is not valid"),  # an attribute's name
    ("The pin 739 is not allowed", ": The … is not allowed"),
    ("The value PassWord is in its history", ": The value … is in its history"),
    ("Mary Smith already has this number", ": … already has this number"),
])  # fmt: skip
def test_a_secret_that_this_request_did_not_send_is_not_shown_nor_whose_it_is(detail: str, shown: str) -> None:
    assert refused({"detail": detail}) == f"400 Bad Request{shown}"


def test_digits_of_a_secret_are_no_number() -> None:
    assert refused({"detail": "The value 83 is too weak"}, patch("4831")) == "400 Bad Request: The value … is too weak"


def test_a_secret_that_is_spelt_out_is_left_out() -> None:
    assert refused({"detail": "Not allowed in a value: 4 8 3 1"}, patch("4831")).endswith("Not allowed in a value: 4 …")


def test_an_echo_of_the_request_is_not_shown_at_all() -> None:
    assert refused({"detail": json.dumps(patch()) + f" Bearer {TOKEN}"}, patch()) == "400 Bad Request"


@pytest.mark.parametrize("secret", ["7", "483", "4831"])
def test_a_short_secret_is_left_out_too(secret: str) -> None:
    assert secret not in refused({"detail": f"The value {secret} is too weak"}, patch(secret)).removeprefix("400")


def test_words_are_bounded_and_fit_one_line_whatever_is_in_them() -> None:
    shown = refused({"detail": "many words\n must not \u202e be set \x07 " * 5_000})
    assert len(shown) <= len("400 Bad Request: ") + SHOWN
    assert shown.isprintable()
    assert "many words" in shown


def test_a_nested_bomb_is_no_words() -> None:
    assert refused(b"[" * 100_000 + b"]" * 100_000) == "400 Bad Request"


around = st.sampled_from(
    ["{}", "'{}'", '"{}"', "({})", "[{}]", "secret: {}", "pwd={}", "value_{}", "{}.value", "not-{}-set"]
)


@given(st.from_regex(r"[Zz]q[a-z]{3,12}", fullmatch=True), around, st.lists(around, max_size=4))
def test_a_word_that_is_on_no_list_is_never_shown_whatever_stands_around_it(
    word: str, form: str, others: list[str]
) -> None:
    """As of an old password, or of another user's, which no request of this run has sent."""
    some = " ".join(each.format("number") for each in others)
    text = f"The value {form.format(word)} must not be used again by this user {some}"
    assert "zq" not in select_shown_words(text, (), ("sipPassword",)).lower()
    assert word not in refused({"detail": text}, patch())


@pytest.mark.parametrize(
    ("header", "scope"),
    [
        ('Bearer error="insufficient_scope", scope="users.write users.read"', "users.write users.read"),
        ("Bearer realm=x, Scope=scim:users:write", "scim:users:write"),
        ('Bearer scope="https://graph.example/User.ReadWrite.All"', "https://graph.example/User.ReadWrite.All"),
        ('Bearer realm="users"', ""),
        ("Basic", ""),
        (f'Bearer scope="{TOKEN}"', ""),
        (f'Bearer scope="users {SECRET[1:6]}"', ""),
    ],
)
def test_a_missing_right_is_named_with_the_scope_that_the_server_asks_for(header: str, scope: str) -> None:
    """A scope that has a part of the token, or of what was sent, is not shown."""
    where = "https://scim.example.org/Users/1"
    answer = Answer(403, {"www-authenticate": header}, b"", where, sent=patch(), proofs=(TOKEN,))
    asks = f". The server asks for the scope {scope}" if scope else ""
    told_ = "; grant the job's account, and the scope of its token, the right to write title (PATCH /Users/{id})"
    assert advise_right(answer, "write title (PATCH /Users/{id})") == told_ + asks


@pytest.mark.parametrize(("status", "kind"), [(400, ""), (404, ""), (401, ""), (500, ""), (403, "uniqueness")])
def test_another_refusal_is_of_no_right(status: int, kind: str) -> None:
    """Also a 403 that says it is about the value."""
    body = json.dumps({"scimType": kind}).encode()
    assert advise_right(Answer(status, {}, body, "https://scim.example.org/Users/1"), "read users") == ""
