"""Whom we trust is read once, and again when a file has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import FileError
from connector.net import tls
from tests.support.slapd import another_authority, authority


def test_the_same_files_are_read_once_and_another_file_under_the_same_name_is_read_again(tmp_path: Path) -> None:
    trusted = another_authority(tmp_path / "ca.pem")
    first = tls.context(trusted)
    assert tls.context(trusted) is first
    authority()[0].cert_pem.write_to_path(tmp_path / "new.pem")
    (tmp_path / "new.pem").replace(trusted)
    second = tls.context(trusted)
    assert second is not first
    assert second.get_ca_certs() != first.get_ca_certs()


def test_a_key_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    trusted, server, client = authority()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = []
    for leaf in (server, client):
        leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "new.pem")
        (tmp_path / "new.pem").replace(tmp_path / "client.pem")
        made.append(tls.context(tmp_path / "ca.pem", tmp_path / "client.pem"))
    assert made[0] is not made[1]


def test_what_is_spoken_in_tls_is_never_offered_where_something_else_is_spoken(tmp_path: Path) -> None:
    trusted = another_authority(tmp_path / "ca.pem")
    assert tls.context(trusted, speaks=tls.HTTP) is not tls.context(trusted)


def test_the_systems_own_store_is_read_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = another_authority(tmp_path / "store.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    first = tls.context(None)
    assert tls.context(None) is first
    authority()[0].cert_pem.write_to_path(store, append=True)
    second = tls.context(None)
    assert (len(first.get_ca_certs()), len(second.get_ca_certs())) == (1, 2)


def test_a_file_that_is_mended_after_an_error_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        tls.context(tmp_path / "ca.pem")
    another_authority(tmp_path / "ca.pem")
    assert tls.context(tmp_path / "ca.pem").get_ca_certs()
