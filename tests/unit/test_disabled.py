"""Whom a filter leaves out since they are disabled: the filter of them, and whom it finds."""

from __future__ import annotations

import pytest

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.filter_matching import make_matcher
from connector.directories.common.ldap_filters import (
    NS_ACCOUNT_LOCK,
    PASSWORD_POLICY,
    USER_ACCOUNT_CONTROL as CONTROL,
    DisabledMark,
    parse_filter,
    select_left_out,
)

ON, OFF, OFF_AND_LOCKED = b"512", b"514", b"530"
FOR_GOOD = b"000001010000Z"
BITS = "userAccountControl:1.2.840.113556.1.4.803:"


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (CONTROL, "(objectClass=user)"),
        (CONTROL, "(&(objectClass=user)(nsAccountLock=TRUE))"),
        (CONTROL, f"({BITS}=2)"),  # of disabled users alone: whoever is enabled is out for that
        (NS_ACCOUNT_LOCK, "(|)"),
        (PASSWORD_POLICY, "(&)"),
    ],
)
def test_a_filter_that_does_not_leave_out_disabled_users_has_no_such_filter(mark: DisabledMark, text: str) -> None:
    assert select_left_out(parse_filter(text), mark) is None


@pytest.mark.parametrize(
    ("mark", "text", "values", "expected"),
    [
        (CONTROL, f"(&(uid=ann)(!({BITS}=2)))", {"useraccountcontrol": [OFF]}, True),
        (CONTROL, f"(&(uid=ann)(!({BITS}=2)))", {"useraccountcontrol": [ON]}, False),
        (CONTROL, f"(&(uid=bob)(!({BITS}=2)))", {"useraccountcontrol": [OFF]}, False),
        (CONTROL, f"(&(uid=ann)(!({BITS}=2))(!({BITS}=16)))", {"useraccountcontrol": [OFF]}, True),
        (CONTROL, f"(&(uid=ann)(!({BITS}=2))(!({BITS}=16)))", {"useraccountcontrol": [OFF_AND_LOCKED]}, False),
        (CONTROL, "(!(userAccountControl:1.2.840.113556.1.4.804:=18))", {"useraccountcontrol": [OFF]}, True),
        (
            CONTROL, "(!(userAccountControl:1.2.840.113556.1.4.804:=18))",
            {"useraccountcontrol": [OFF_AND_LOCKED]}, False,
        ),
        (CONTROL, "(userAccountControl=512)", {"useraccountcontrol": [OFF]}, True),
        (CONTROL, "(userAccountControl=512)", {"useraccountcontrol": [OFF_AND_LOCKED]}, False),
        (NS_ACCOUNT_LOCK, "(!(nsAccountLock=TRUE))", {"nsaccountlock": [b"true"]}, True),
        (NS_ACCOUNT_LOCK, "(&(uid=ann)(!(nsAccountLock=*)))", {"nsaccountlock": [b"TRUE"]}, True),
        (NS_ACCOUNT_LOCK, "(&(uid=ann)(NSACCOUNTLOCK=false))", {"nsaccountlock": [b"TRUE"]}, True),
        (NS_ACCOUNT_LOCK, "(&(uid=bob)(!(nsAccountLock=TRUE)))", {"nsaccountlock": [b"TRUE"]}, False),
        (PASSWORD_POLICY, "(!(pwdAccountLockedTime=*))", {"pwdaccountlockedtime": [FOR_GOOD]}, True),
        (PASSWORD_POLICY, "(!(pwdAccountLockedTime=*))", {"pwdaccountlockedtime": [b"20260101000000Z"]}, False),
    ],
)  # fmt: skip
def test_who_is_left_out_for_that_alone(
    mark: DisabledMark, text: str, values: dict[str, list[bytes]], expected: bool
) -> None:
    wanted = select_left_out(parse_filter(text), mark)
    assert wanted is not None
    schema = known_schema()
    held = {schema.attribute_key(name): some for name, some in values.items()}
    matches = make_matcher(wanted, schema)
    ann = {"uid": [b"ann"], "objectclass": [b"user"]}
    assert (matches(ann | held) is True) == expected
    assert matches(ann) is not True, "who has no mark"
