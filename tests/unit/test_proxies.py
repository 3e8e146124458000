"""Which proxy the environment names for an address."""

from __future__ import annotations

import base64
import os

import pytest

from connector.net.proxies import proxy_of


@pytest.mark.parametrize(
    ("variables", "where", "host"),
    [
        ({}, "https://cec.example.org/x", None),
        ({"HTTPS_PROXY": "http://proxy.example.org:3128"}, "https://cec.example.org/x", b"proxy.example.org"),
        ({"HTTPS_PROXY": "proxy.example.org"}, "https://cec.example.org/x", b"proxy.example.org"),
        ({"HTTPS_PROXY": "http://prüxy.example.org"}, "https://cec.example.org/x", b"xn--prxy-1ra.example.org"),
        ({"HTTPS_PROXY": "http://proxy.example.org"}, "http://cec.example.org/x", None),
        ({"ALL_PROXY": "http://[::1]:8"}, "http://cec.example.org/x", b"::1"),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "example.org"}, "https://cec.example.org", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "::1"}, "https://[::1]:8443/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "[::1]:8443"}, "https://[::1]:8443/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "a.test, 10.1.2.3/8"}, "https://10.9.9.9:1/", None),
        ({"ALL_PROXY": "http://proxy.example.org", "NO_PROXY": "fd00::/8"}, "https://[fd12::1]:8443/", None),
        ({"ALL_PROXY": "http://p.test", "NO_PROXY": "10.0.0.0/8,a/b,10.0.0.0/99"}, "https://11.9.9.9/", b"p.test"),
        ({"ALL_PROXY": "http://p.test", "NO_PROXY": "0.0.0.0/0,::/0"}, "https://cec.example.org/", b"p.test"),
    ],
)
def test_a_proxy_is_named_for_an_address_or_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], where: str, host: bytes | None
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_of(where)
    assert (proxy and proxy.url.host) == host


@pytest.mark.parametrize(
    ("address", "proof"),
    [
        ("http://proxy.example.org", None),
        ("http://@proxy.example.org", None),
        ("http://user@proxy.example.org", b"user:"),
        ("http://us%40er:p%3Aq@proxy.example.org", b"us@er:p:q"),
        ("http://:password@proxy.example.org", b":password"),
    ],
)
def test_user_and_password_are_those_of_the_address(
    monkeypatch: pytest.MonkeyPatch, address: str, proof: bytes | None
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", address)
    proxy = proxy_of("https://cec.example.org/")
    assert proxy is not None
    said = [] if proof is None else [(b"Proxy-Authorization", b"Basic " + base64.b64encode(proof))]
    assert proxy.headers == said
