"""The rights that `access.ldif` beside the schema files gives, word for word, for the accounts of the tests."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.ldap_server import SUFFIX, SYNC

_SCHEMA = Path(__file__).parents[2] / "deploy" / "schema"
SERVICES = f"ou=services,{SUFFIX}"
REGISTRAR = f"uid=registrar,{SERVICES}"
PAGE_OF_389DS = (_SCHEMA / "389ds" / "README.md").read_text()


def _access(name: str) -> str:
    return (_SCHEMA / name / "access.ldif").read_text()


def on_openldap(*, readable: bool = False) -> str:
    """Access rules of slapd.conf; nobody has any other right. `readable`: the connector reads passwords, too."""
    rules = re.findall(r"^olcAccess: \{\d\}(to .*(?:\n  by .*)*)", _access("openldap"), re.MULTILINE)
    assert len(rules) == 5
    text = "\n".join(f"access {rule}" for rule in rules)
    text = text.replace(f"cn=cec-connector,{SERVICES}", SYNC).replace(f"cn=sip-registrar,{SERVICES}", REGISTRAR)
    assert text.count(" =wc") == 1
    text = text.replace(" =wc", " write") if readable else text
    return f"access to attrs=userPassword by anonymous auth by * none\n{text}\n"


def on_389ds(*, readable: bool = False) -> list[str]:
    """The `aci` lines in the file's order: those of `ou=people`, and at last the suffix's."""
    texts = re.findall(r"^(aci: .*(?:\n .*)*)", _access("389ds"), re.MULTILINE)
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
