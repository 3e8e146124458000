"""Job files, from their parts: each part is a mapping, as `docs/job-file.md` names it.

`job_file` gives one; `changed` gives it anew with some of it said otherwise. There is one line for each part.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

Part = dict[str, Any]

PEOPLE = "ou=people,dc=example,dc=org"
PERSONS = "(objectClass=inetOrgPerson)"


def env(name: str) -> Part:
    """A secret in the environment."""
    return {"env": name}


def file(path: str | Path) -> Part:
    """A secret in a file."""
    return {"file": str(path)}


def file_source(path: str | Path = "agents.json") -> Part:
    return {"type": "file", "path": str(path)}


def cec_source(url: str, *, ca: Path | None = None, **more: Any) -> Part:
    """A tenant's API; without an authority's file it is asked in plain text."""
    secrets = {"app_key": env("CEC_APP_KEY"), "app_secret": env("CEC_APP_SECRET")}
    return {"type": "cec", "url": url} | secrets | _trust(ca) | more


def ldif_directory(path: str | Path = "people.ldif", *, base: str | None = PEOPLE, **more: Any) -> Part:
    return {"type": "ldif", "path": str(path), "base": base, "filter": PERSONS} | more


def ldap_directory(*urls: str, bind_dn: str, ca: Path | None = None, base: str = PEOPLE, **more: Any) -> Part:
    """A server and its copies; without an authority's file they are asked in plain text."""
    bound = {"bind_dn": bind_dn, "password": env("LDAP_PASSWORD")}
    return {"type": "ldap", "urls": list(urls)} | bound | _trust(ca) | {"base": base, "filter": PERSONS} | more


def scim_directory(url: str, *, ca: Path | None = None, **more: Any) -> Part:
    """A SCIM server; without an authority's file it is asked in plain text."""
    return {"type": "scim", "url": url, "token": env("SCIM_TOKEN")} | _trust(ca) | more


def _trust(ca: Path | None) -> Part:
    return {"allow_plaintext": True} if ca is None else {"ca_file": str(ca)}


def job_file(directory: Part, *, source: Part | None = None, mapping: str = "mapping.yaml", **more: Any) -> str:
    """A job that may change everybody; `more` is merged into that, as `changed` does it."""
    parts = {
        "source": source or file_source(),
        "directory": directory,
        "mapping": mapping,
        "limits": {"update": "100%", "state": "100%"},
    }
    return _written(_merged(parts, more))


def changed(text: str, **changes: Any) -> str:
    """The same job, with some of it said otherwise.

    A mapping is merged into what is there, unless it names its `type`: then it is the whole part. None takes away.
    """
    parts: Part = YAML(typ="safe").load(text)
    return _written(_merged(parts, changes))


def configure(path: Path, **changes: Any) -> None:
    """Say some of the job in a file otherwise. Whoever reads it meanwhile sees the old one or the new."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(changed(path.read_text(), **changes))
    new.replace(path)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Part:
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and "type" not in value:
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged


def _written(parts: Mapping[str, Any]) -> str:
    yaml, text = YAML(), StringIO()
    yaml.width = 1 << 16
    yaml.dump({name: _on_one_line(value) for name, value in parts.items() if value is not None}, text)
    return text.getvalue()


def _on_one_line(value: Any) -> Any:
    if isinstance(value, Mapping):
        mapping = CommentedMap({name: _on_one_line(each) for name, each in value.items() if each is not None})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(map(_on_one_line, value))
        sequence.fa.set_flow_style()
        return sequence
    return str(value) if isinstance(value, Path) else value
