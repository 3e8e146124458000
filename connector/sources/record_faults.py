"""What is wrong with a record that does not fit, in words that name the field and never show what is in sipPwd."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from connector.errors import NOT_JSON
from connector.model import Agent, Invalid, Secret

FIELDS: Final = ("workNo", "accountCode", "sipAccount", "sipPwd")
"""The members of a record that are read."""
MAX_CHARACTERS: Final = 1024
DIGITS: Final = r"^0*[1-9][0-9]*\Z"
STAND_IN: Final = "\ufffe"
"""Takes the place of a surrogate without its partner, which no UTF-8 can hold; it is a
noncharacter itself."""

SEPARATORS: Final = "\u2028\u2029"
_DIGITS: Final = re.compile(DIGITS)
_UNWELCOME: Final = re.compile(
    f"[\x00-\x1f\x7f-\x9f{SEPARATORS}\ud800-\udfff{STAND_IN}]"
)
_KINDS: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction or an exponent",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def examine(raw: Raw, number: int) -> Agent | Invalid:
    """A record, `number` from 1: an `Agent` if it can be tolerated, else an `Invalid` with every reason."""
    octets = bytes(raw)
    try:
        fields = msgspec.json.decode(octets)
    except NOT_JSON:
        return Invalid(number, "the record has a number that is too large")
    if not isinstance(fields, dict):
        return Invalid(number, f"the record is {_KINDS[type(fields)]}, not an object")
    why: list[str] = []
    if octets.count(b":") > len(fields):
        said = [
            name
            for name, _ in json.loads(octets, object_pairs_hook=list, parse_int=str)
        ]
        why += [f"{name} occurs twice" for name in FIELDS if said.count(name) > 1]
    work_no = _work_no(fields, why)
    account_code = _text(fields, "accountCode", why)
    sip_account = _text(fields, "sipAccount", why)
    sip_pwd = _text(fields, "sipPwd", why)
    if work_no is None or why:
        return Invalid(number, "; ".join(why), work_no, account_code)
    return Agent(
        work_no, account_code, sip_account, Secret(sip_pwd) if sip_pwd else None
    )


def character_fault(text: str) -> str | None:
    """A control character, a line or paragraph separator, or half a surrogate pair: which, and where (from 1)."""
    if text.isprintable():
        return None
    found = _UNWELCOME.search(text)
    if found is None:
        return None
    place = found.start() + 1
    if found[0] == STAND_IN or "\ud800" <= found[0] <= "\udfff":
        return f"half a surrogate pair, or a noncharacter, at character {place}"
    kind = "separator" if found[0] in SEPARATORS else "control character"
    return f"the {kind} U+{ord(found[0]):04X} at character {place}"


def service_ip(held: Any, notes: list[str]) -> str | None:
    """The tenant's `sipServiceIp`: a string of up to 50 characters; a faulty one counts as absent, with a note."""
    if held is None or held == "":
        return None
    if not isinstance(held, str):
        fault = f"is {_KINDS[type(held)]}, not a string"
    elif len(held) > 50:  # the vendor's bound
        fault = f"has {len(held)} characters; 50 are allowed"
    elif character_fault(held) or any(letter.isspace() for letter in held):
        fault = "holds white space or a control character"
    else:
        return held
    notes.append(f"sipServiceIp {fault}: treated as absent")
    return None


def service_port(held: Any, notes: list[str]) -> str | None:
    """The tenant's `sipServicePort`, 1 to 65535 as a number or in digits, as text without leading zeros."""
    if held is None or held == "":
        return None
    if type(held) is int or (
        isinstance(held, str) and len(held) <= MAX_CHARACTERS and _DIGITS.search(held)
    ):
        if 1 <= int(held) <= 65535:  # the ports that there are
            return str(int(held))
        fault = "is not from 1 to 65535"
    else:
        fault = f"is {_KINDS[type(held)]} and no port number"
    notes.append(f"sipServicePort {fault}: treated as absent")
    return None


def _work_no(fields: Mapping[str, Any], why: list[str]) -> int | None:
    held = fields.get("workNo")
    if type(held) is int and held > 0:
        return held
    if isinstance(held, str) and len(held) <= MAX_CHARACTERS and _DIGITS.search(held):
        return int(held)
    if "workNo" not in fields:
        why.append("workNo is missing")
    elif type(held) is int:
        why.append("workNo is not positive")
    elif isinstance(held, str):
        why.append("workNo is a string that is not a positive whole number")
    else:
        why.append(f"workNo is {_KINDS[type(held)]}, not a whole number")
    return None


def _text(fields: Mapping[str, Any], name: str, why: list[str]) -> str | None:
    held = fields.get(name)
    if held is None or held == "":
        return None
    if not isinstance(held, str):
        why.append(f"{name} is {_KINDS[type(held)]}, not a string")
    elif len(held) > MAX_CHARACTERS:
        why.append(
            f"{name} has {len(held)} characters, and {MAX_CHARACTERS} are allowed"
        )
    elif fault := character_fault(held):
        why.append(f"{name} holds {fault}")
    else:
        return held
    return None
