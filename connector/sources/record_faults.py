"""What is wrong with a record that does not fit, in words that name the field and never show what is in sipPwd."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from connector.errors import NOT_JSON
from connector.model import Agent, InvalidRecord, Secret

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


def examine_record(raw: Raw, number: int) -> Agent | InvalidRecord:
    """Read a record that does not fit, `number` from 1.

    It is an `Agent` if it can be tolerated, else an `InvalidRecord` with every reason.
    """
    octets = bytes(raw)
    try:
        fields = msgspec.json.decode(octets)
    except NOT_JSON:
        return InvalidRecord(number, "the record has a number that is too large")
    if not isinstance(fields, dict):
        return InvalidRecord(
            number, f"the record is {_KINDS[type(fields)]}, not an object"
        )
    faults = _find_repeated(octets, fields)
    work_no = _read_work_no(fields, faults)
    account_code = _read_text(fields, "accountCode", faults)
    sip_account = _read_text(fields, "sipAccount", faults)
    sip_pwd = _read_text(fields, "sipPwd", faults)
    if work_no is None or faults:
        return InvalidRecord(number, "; ".join(faults), work_no, account_code)
    return Agent(
        work_no,
        without_blanks(account_code),
        without_blanks(sip_account),
        Secret(sip_pwd) if sip_pwd else None,
    )


def without_blanks(text: str | None) -> str | None:
    """Return the text; an account or a SIP number of spaces alone is as good as absent."""
    if not text or not text.strip(" "):
        return None
    return text


def _find_repeated(octets: bytes, fields: Mapping[str, Any]) -> list[str]:
    if octets.count(b":") <= len(fields):
        return []
    pairs = json.loads(octets, object_pairs_hook=list, parse_int=str)
    names = [name for name, _ in pairs]
    return [f"{name} occurs twice" for name in FIELDS if names.count(name) > 1]


def find_character_fault(text: str) -> str | None:
    """Find a control character, a separator of lines, or half a surrogate pair.

    Tells which, and where (from 1).
    """
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


def read_service_ip(held: Any, notes: list[str]) -> str | None:
    """Read the tenant's `sipServiceIp`: a string of up to 50 characters.

    A faulty one counts as absent, with a note.
    """
    if held in (None, ""):
        return None
    if not isinstance(held, str):
        fault = f"is {_KINDS[type(held)]}, not a string"
    elif len(held) > 50:  # the vendor's bound
        fault = f"has {len(held)} characters; 50 are allowed"
    elif find_character_fault(held) or any(letter.isspace() for letter in held):
        fault = "holds white space or a control character"
    else:
        return held
    notes.append(f"sipServiceIp {fault}: treated as absent")
    return None


def read_service_port(held: Any, notes: list[str]) -> str | None:
    """Read the tenant's `sipServicePort`, 1 to 65535 as a number or in digits.

    It is text without leading zeros. A faulty one counts as absent, with a note.
    """
    if held in (None, ""):
        return None
    number = read_number(held)
    if number is None:
        fault = f"is {_KINDS[type(held)]} and no port number"
    elif 1 <= number <= 65535:  # the ports that there are
        return str(number)
    else:
        fault = "is not from 1 to 65535"
    notes.append(f"sipServicePort {fault}: treated as absent")
    return None


def read_number(held: Any) -> int | None:
    """Return a number, also one in digits; None if it is none."""
    if type(held) is int:
        return held
    is_short = isinstance(held, str) and len(held) <= MAX_CHARACTERS
    return int(held) if is_short and _DIGITS.search(held) else None


def _read_work_no(fields: Mapping[str, Any], faults: list[str]) -> int | None:
    held = fields.get("workNo")
    number = read_number(held)
    if number is not None and number > 0:
        return number
    if "workNo" not in fields:
        faults.append("workNo is missing")
    elif number is not None:
        faults.append("workNo is not positive")
    elif isinstance(held, str):
        faults.append("workNo is a string that is not a positive whole number")
    else:
        faults.append(f"workNo is {_KINDS[type(held)]}, not a whole number")
    return None


def _read_text(fields: Mapping[str, Any], name: str, faults: list[str]) -> str | None:
    held = fields.get(name)
    if held in (None, ""):
        return None
    if not isinstance(held, str):
        fault = f"is {_KINDS[type(held)]}, not a string"
    elif len(held) > MAX_CHARACTERS:
        fault = f"has {len(held)} characters, and {MAX_CHARACTERS} are allowed"
    elif unwelcome := find_character_fault(held):
        fault = f"holds {unwelcome}"
    else:
        return held
    faults.append(f"{name} {fault}")
    return None
