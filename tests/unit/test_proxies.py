"""Which proxy the environment names for an address."""

from __future__ import annotations

import os

import pytest

from connector.net.http import proxy_for


@pytest.mark.parametrize(
    ("variables", "where", "proxy"),
    [
        ({}, "https://cec.example.org/x", None),
        (
            {"HTTPS_PROXY": "http://proxy.example.org:3128"},
            "https://cec.example.org/x",
            "http://proxy.example.org:3128",
        ),
        ({"HTTPS_PROXY": "proxy.example.org"}, "https://cec.example.org/x", "http://proxy.example.org"),
        ({"HTTPS_PROXY": "http://prüxy.example.org"}, "https://cec.example.org/x", "http://prüxy.example.org"),
        ({"HTTPS_PROXY": "http://proxy.example.org"}, "http://cec.example.org/x", None),
        ({"ALL_PROXY": "http://[::1]:8"}, "http://cec.example.org/x", "http://[::1]:8"),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "example.org"}, "https://cec.example.org", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "::1"}, "https://[::1]:8443/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "[::1]:8443"}, "https://[::1]:8443/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "a.test, 10.1.2.3/8"}, "https://10.9.9.9:1/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "fd00::/8"}, "https://[fd12::1]:8443/", None),
        (
            {"ALL_PROXY": "http://p.test", "NO_PROXY": "10.0.0.0/8,a/b,10.0.0.0/99"},
            "https://11.9.9.9/",
            "http://p.test",
        ),
        ({"ALL_PROXY": "http://p.test", "NO_PROXY": "0.0.0.0/0,::/0"}, "https://cec.example.org/", "http://p.test"),
    ],
)
def test_a_proxy_is_named_for_an_address_or_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], where: str, proxy: str | None
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(where) == proxy
