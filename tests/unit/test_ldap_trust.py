"""Whom a job trusts, and that this is found out only where it matters."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap.connection import Endpoint, tls_context
from connector.errors import FileError
from connector.settings.ldap import LdapDirectory


def context(*urls: str, **more: Any) -> ssl.SSLContext:
    settings = LdapDirectory(type="ldap", urls=[*urls], base=["dc=example,dc=org"], allow_plaintext=True, **more)
    made = tls_context(settings, map(Endpoint.of, settings.urls))
    assert made.verify_mode is ssl.VerifyMode.CERT_REQUIRED
    assert made.check_hostname
    return made


@pytest.mark.parametrize(
    ("urls", "more"),
    [
        (["ldaps://ldap1.example.org"], {}),
        (["ldap://ldap1.example.org", "LDAPS://ldap2.example.org"], {}),
        (["ldap://ldap1.example.org"], {"start_tls": True}),
    ],
)
def test_tls_trusts_whom_the_system_trusts(urls: list[str], more: dict[str, Any]) -> None:
    system = ssl.create_default_context().cert_store_stats()
    assert context(*urls, **more).cert_store_stats() == system


def test_without_tls_nobody_is_trusted_and_no_trust_store_is_read() -> None:
    assert context("ldap://ldap1.example.org", "ldapi://%2Frun%2Fldapi").cert_store_stats()["x509_ca"] == 0


def test_a_file_that_is_named_is_read_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(FileError, match="no CA certificates can be read"):
        context("ldap://ldap1.example.org", ca_file=file)
    with pytest.raises(FileError, match="not usable for TLS"):
        context("ldap://ldap1.example.org", cert_file=file)
