"""The address of a PostgreSQL database: what it says, and what holds where it does not say. No server is asked."""

from __future__ import annotations

import os

import pytest

from connector.errors import FileError
from connector.state.postgresql import read_parameters


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes what an address does not say from the environment."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://cec@db.example.org/cec", "verify-full"),
        ("postgresql://cec@192.0.2.7,127.0.0.1/cec", "verify-full"),
        ("postgresql://cec@127.0.0.1,192.0.2.7/cec", "verify-full"),
        ("postgresql://cec@localhost/cec?hostaddr=192.0.2.7", "verify-full"),
        ("postgresql://cec@db.example.org/cec?hostaddr=127.0.0.1", None),
        ("postgresql://cec@db.example.org/cec?sslmode=disable", "disable"),
        ("postgresql://cec@localhost/cec", None),
        ("postgresql://cec@127.0.0.1,[::1]/cec", None),
        ("postgresql:///cec?host=/run/postgresql", None),
        ("postgresql:///cec?host=/run/postgresql,@cec", None),
        ("postgresql:///cec", None),
        ("postgresql:///?service=cec", None),
    ],
)
def test_a_server_elsewhere_is_not_spoken_to_without_tls_unless_the_address_says_so(url: str, mode: str | None) -> None:
    assert read_parameters(url).get("sslmode") == mode


def test_what_the_environment_says_of_the_server_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert read_parameters("postgresql:///cec")["sslmode"] == "verify-full"
    assert "sslmode" not in read_parameters("postgresql://localhost/cec")
    assert "sslmode" not in read_parameters("postgresql:///?service=cec")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "sslmode" not in read_parameters("postgresql:///cec")
    monkeypatch.delenv("PGSSLMODE")
    monkeypatch.setenv("PGSERVICE", "cec")
    assert "sslmode" not in read_parameters("postgresql:///cec")
    monkeypatch.delenv("PGSERVICE")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    assert "sslmode" not in read_parameters("postgresql:///cec")


def test_a_server_that_has_gone_is_noticed_and_an_address_may_say_when() -> None:
    usual = read_parameters("postgresql:///cec")
    assert (usual["connect_timeout"], usual["application_name"], usual["dbname"]) == (10, "cec-connector", "cec")
    assert (usual["keepalives_idle"], usual["keepalives_interval"], usual["keepalives_count"]) == (30, 10, 3)
    assert read_parameters("postgresql:///cec?connect_timeout=2")["connect_timeout"] == "2"


def test_the_encoding_is_not_the_address_s_to_choose() -> None:
    assert read_parameters("postgresql:///cec?client_encoding=LATIN1")["client_encoding"] == "UTF8"


@pytest.mark.parametrize("url", ["postgresql://[cec/x", "postgresql://cec/x?colour=red", "postgresql://cec/c\ud800"])
def test_what_is_no_address_is_a_fault_of_the_job(url: str) -> None:
    with pytest.raises(FileError, match="not an address of a database"):
        read_parameters(url)
