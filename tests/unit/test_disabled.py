"""Whom a filter leaves out since they are disabled: the filter of them, and whom it finds."""

from __future__ import annotations

import pytest

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.disabled import ACTIVE_DIRECTORY, DS389, PASSWORD_POLICY, Mark, left_out
from connector.directories.common.filter_matching import matcher
from connector.directories.common.ldap_filters import parse

ON, OFF, OFF_AND_LOCKED = b"512", b"514", b"530"
FOR_GOOD = b"000001010000Z"
BITS = "userAccountControl:1.2.840.113556.1.4.803:"


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (ACTIVE_DIRECTORY, "(objectClass=user)"),
        (ACTIVE_DIRECTORY, "(&(objectClass=user)(nsAccountLock=TRUE))"),
        (ACTIVE_DIRECTORY, f"({BITS}=2)"),  # of disabled users alone: whoever is enabled is out for that
        (DS389, "(|)"),
        (PASSWORD_POLICY, "(&)"),
    ],
)
def test_a_filter_that_does_not_leave_out_disabled_users_has_no_such_filter(mark: Mark, text: str) -> None:
    assert left_out(parse(text), mark) is None


@pytest.mark.parametrize(
    ("mark", "text", "values", "expected"),
    [
        (ACTIVE_DIRECTORY, f"(&(uid=ann)(!({BITS}=2)))", {"useraccountcontrol": [OFF]}, True),
        (ACTIVE_DIRECTORY, f"(&(uid=ann)(!({BITS}=2)))", {"useraccountcontrol": [ON]}, False),
        (ACTIVE_DIRECTORY, f"(&(uid=bob)(!({BITS}=2)))", {"useraccountcontrol": [OFF]}, False),
        (ACTIVE_DIRECTORY, f"(&(uid=ann)(!({BITS}=2))(!({BITS}=16)))", {"useraccountcontrol": [OFF]}, True),
        (ACTIVE_DIRECTORY, f"(&(uid=ann)(!({BITS}=2))(!({BITS}=16)))", {"useraccountcontrol": [OFF_AND_LOCKED]}, False),
        (ACTIVE_DIRECTORY, "(!(userAccountControl:1.2.840.113556.1.4.804:=18))", {"useraccountcontrol": [OFF]}, True),
        (
            ACTIVE_DIRECTORY, "(!(userAccountControl:1.2.840.113556.1.4.804:=18))",
            {"useraccountcontrol": [OFF_AND_LOCKED]}, False,
        ),
        (ACTIVE_DIRECTORY, "(userAccountControl=512)", {"useraccountcontrol": [OFF]}, True),
        (ACTIVE_DIRECTORY, "(userAccountControl=512)", {"useraccountcontrol": [OFF_AND_LOCKED]}, False),
        (DS389, "(!(nsAccountLock=TRUE))", {"nsaccountlock": [b"true"]}, True),
        (DS389, "(&(uid=ann)(!(nsAccountLock=*)))", {"nsaccountlock": [b"TRUE"]}, True),
        (DS389, "(&(uid=ann)(NSACCOUNTLOCK=false))", {"nsaccountlock": [b"TRUE"]}, True),
        (DS389, "(&(uid=bob)(!(nsAccountLock=TRUE)))", {"nsaccountlock": [b"TRUE"]}, False),
        (PASSWORD_POLICY, "(!(pwdAccountLockedTime=*))", {"pwdaccountlockedtime": [FOR_GOOD]}, True),
        (PASSWORD_POLICY, "(!(pwdAccountLockedTime=*))", {"pwdaccountlockedtime": [b"20260101000000Z"]}, False),
    ],
)  # fmt: skip
def test_who_is_left_out_for_that_alone(mark: Mark, text: str, values: dict[str, list[bytes]], expected: bool) -> None:
    wanted = left_out(parse(text), mark)
    assert wanted is not None
    schema = known_schema()
    held = {schema.key(name): some for name, some in values.items()}
    matches = matcher(wanted, schema)
    assert (matches({"uid": [b"ann"], **held}) is True) == expected
    assert matches({"uid": [b"ann"]}) is not True, "who has no mark"
