"""Which attributes are secret: asked here, before anything is read that a report could show."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping as AnyMapping

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import FileError
from connector.model import AttributeInfo
from connector.model.mapping import Mapping
from connector.planning.brief import Show
from connector.settings.attribute_names import parts_of


class SecretAttributes(Struct, frozen=True):
    """The attributes of one directory into which jobs of this state wrote secrets."""

    names: tuple[str, ...]
    """As mappings spelt them."""
    types: AnyMapping[str, AttributeInfo] = {}
    """What the directory's schema defines, by any name or number in lower case."""

    def named(self, name: str, *, whole: bool = False) -> list[str]:
        """Those that are the attribute of this name: by OID whatever its options, or by SCIM path.

        `whole`: or another part of it.
        """
        return [each for each in self.names if self._is_same(each, name, whole=whole)]

    def _is_same(self, one: str, other: str, *, whole: bool) -> bool:
        (attribute, *its_parts), (another, *other_parts) = (
            parts_of(one),
            parts_of(other),
        )
        info = self.types.get(attribute)
        if another != attribute and (
            info is None or another not in info.definition.aliases
        ):
            return False
        return whole or all(
            not a or not b or a == b
            for a, b in zip(its_parts, other_parts, strict=True)
        )


def hide_secrets(
    known: SecretAttributes,
    mapping: Mapping,
    show: Show,
    job: str,
    undone: Collection[str] = (),
) -> Show:
    """The names of people, without attributes that are secret. Raises FileError where the job would show one.

    `undone`: attributes that a run wrote in clear which is taken back.
    """
    called_secret = tuple(rule.name for rule in mapping.attributes if rule.secret)
    secrets = replace(known, names=(*known.names, *called_secret))
    for where, name, advice in _shown_attributes(mapping, show, job, undone):
        if secrets.named(name, whole=where == job):
            why = f"{name} is secret: this job, or another one of its state, wrote secrets into it. {advice}"
            if known.named(name):
                forget = shlex.join(
                    ["cec-connector", "state", "forget-secret", job, name]
                )
                why += f". If it holds none any more, run: {forget}"
            raise FileError(why, where=where)
    return replace(
        show,
        attributes=tuple(
            name for name in show.attributes if not secrets.named(name, whole=True)
        ),
    )


def _shown_attributes(
    mapping: Mapping, show: Show, job: str, undone: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """What reports may show values of: where that is said, the attribute, and what to do if it is secret."""
    for line, name, advice in (
        *(
            (rule.line, rule.name, "Add `secret: true` to it")
            for rule in mapping.attributes
            if not rule.secret
        ),
        *(
            (rule.line, rule.directory, "Match agents by another attribute")
            for rule in mapping.match
        ),
    ):
        yield (f"{mapping.where}:{line}" if line else mapping.where), name, advice
    for name in show.attributes if show.asked else ():
        yield job, name, "Take it out of `directory.show`"
    for name in sorted(undone):
        yield "RUN", name, "This run wrote it in clear before, and is not taken back"
