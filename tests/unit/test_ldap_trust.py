"""Whom a job trusts, and that this is found out only where it matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap.connection import connect_server
from connector.errors import FileError
from connector.settings.ldap import LdapDirectory


def settings(*urls: str, **more: Any) -> LdapDirectory:
    return LdapDirectory(type="ldap", urls=[*urls], base=["dc=example,dc=org"], allow_plaintext=True, **more)


def test_a_file_that_is_named_is_read_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(FileError, match="no CA certificates can be read"):
        connect_server(settings("ldap://ldap1.example.org", ca_file=file), None)
    with pytest.raises(FileError, match="not usable for TLS"):
        connect_server(settings("ldap://ldap1.example.org", cert_file=file), None)
