"""What servers say of a password at a bind; those with long lengths are what 389-DS 3.1 sent."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.directories.ldap import connection
from connector.directories.ldap.connection import PasswordNotice
from connector.errors import MalformedError

SAID = [
    ("30 84 00 00 00 03 81 01 02", PasswordNotice(error=2)),
    ("30 03 81 01 02", PasswordNotice(error=2)),
    ("30 84 00 00 00 0b a0 84 00 00 00 05 80 03 01 51 80", PasswordNotice(seconds=86400)),
    ("30 84 00 00 00 09 a0 84 00 00 00 03 81 01 01", PasswordNotice(binds=1)),
    ("30 03 81 01 00", PasswordNotice(error=0)),
    ("30 00", PasswordNotice()),
    ("", PasswordNotice()),
]


@pytest.mark.parametrize(("octets", "notice"), SAID)
def test_a_notice_is_read(octets: str, notice: PasswordNotice) -> None:
    assert connection.read_password_notice(bytes.fromhex(octets)) == notice


def test_without_the_control_nothing_is_said() -> None:
    assert connection.read_password_notice(b"") == PasswordNotice()
    assert list(PasswordNotice().list_cautions("uid=sync")) == []
    assert not PasswordNotice().must_change


@given(st.binary(max_size=40))
def test_any_octets_are_a_notice_or_malformed(octets: bytes) -> None:
    try:
        notice = connection.read_password_notice(octets)
    except MalformedError:
        return
    assert isinstance(notice, PasswordNotice)


@pytest.mark.parametrize(
    ("seconds", "left"), [(60, "less than a day"), (86_400, "a day"), (10 * 86_400 + 5, "10 days")]
)
def test_how_long_a_password_is_good(seconds: int, left: str) -> None:
    (said,) = PasswordNotice(seconds=seconds).list_cautions("uid=sync")
    assert f"expires in {left}." in said
