"""The rights that the access files beside the schema files give, word for word, for the accounts of the tests."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.ldap_server import SUFFIX, SYNC

_SCHEMA = Path(__file__).parents[2] / "deploy" / "schema"
SERVICES = f"ou=services,{SUFFIX}"
CONNECTOR = f"cn=cec-connector,{SERVICES}"
"""The account that the files for OpenLDAP name."""
REGISTRAR = f"uid=registrar,{SERVICES}"
PAGE_OF_389DS = (_SCHEMA / "389ds" / "README.md").read_text()


def access(directory: str, *, stock: bool = False) -> str:
    """A file of access rules; `stock`: for the mapping onto stock attributes."""
    return (_SCHEMA / directory / f"access{'-inetorgperson' if stock else ''}.ldif").read_text()


def rules_of_openldap(*, stock: bool = False) -> str:
    """The access rules as slapd.conf has them, for the account that the file names."""
    rules = re.findall(r"^olcAccess: \{\d\}(to .*(?:\n  by .*)*)", access("openldap", stock=stock), re.MULTILINE)
    assert len(rules) == (2 if stock else 5)
    text = "\n".join(f"access {rule}" for rule in rules)
    return f"access to attrs=userPassword by anonymous auth by * none\n{text}\n"


def on_openldap(*, readable: bool = False) -> str:
    """Access rules of slapd.conf; nobody has any other right. `readable`: the connector reads passwords, too."""
    text = rules_of_openldap().replace(CONNECTOR, SYNC).replace(f"cn=sip-registrar,{SERVICES}", REGISTRAR)
    assert text.count(" =wc") == 1
    return text.replace(" =wc", " write") if readable else text


def on_389ds(*, readable: bool = False) -> list[str]:
    """The `aci` lines in the file's order: those of `ou=people`, and at last the suffix's."""
    texts = re.findall(r"^(aci: .*(?:\n .*)*)", access("389ds"), re.MULTILINE)
    assert len(texts) == 5
    compares = "allow (compare)"
    assert sum(compares in text for text in texts) == 1
    return [
        text.replace("\n ", "")
        .replace(compares, "allow (read, search, compare)" if readable else compares)
        .replace(f"uid=cec-connector,{SERVICES}", SYNC)
        .replace(f"uid=sip-registrar,{SERVICES}", REGISTRAR)
        for text in texts
    ]
