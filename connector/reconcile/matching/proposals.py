"""Match rules that would turn many near misses into matches, as proposals to a reader; nothing is matched by them.

A proposal is tried before it is made: its template is rendered for each of these agents,
and has to give the very value that the near user holds, and nobody else's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import Description, Near, Problem, Tenant
from connector.reconcile import equality
from connector.reconcile.diff.templates import Template
from connector.reconcile.diff.transforms import TemplateError
from connector.reconcile.mapping import Mapping as Rules
from connector.reconcile.matching.claims import Verdicts

MANY: Final = 5
"""So many near misses that are alike become one proposal."""
_END: Final = re.compile(r"\}(?!\})")
"""Where a field with its transforms ends."""
_PADDED: Final = re.compile(r"(?:\|pad:\d+)+\}(?!\})")
_LONE: Final = re.compile(r"\{[^{}]+\}")


class _Proposal(Struct, frozen=True):
    """A rule, and by agent the near misses that it would match."""

    template: str
    attribute: str
    found: Mapping[int, Near]

    def __str__(self) -> str:
        ((how, _),) = Counter(near.how for near in self.found.values()).most_common(1)
        many = f"{len(self.found)} agents differ in {how} alone"
        return f"{many}: add the rule `{self.template}` to {self.attribute}"


def proposed(
    verdicts: Verdicts, tenant: Tenant, rules: Rules, description: Description
) -> tuple[Verdicts, list[_Proposal]]:
    """The verdicts without the near misses that a new rule would match, and the rules, those for most agents first."""
    lines, proposals = dict(verdicts.unmatched), list[_Proposal]()
    while best := _best(lines, tenant, rules, description):
        proposals.append(best)
        for number, near in best.found.items():
            lines[number] = replace(
                lines[number],
                near=tuple(each for each in lines[number].near if each != near),
            )
    return replace(verdicts, unmatched=lines), proposals


def _best(
    lines: Mapping[int, Problem], tenant: Tenant, rules: Rules, description: Description
) -> _Proposal | None:
    """The rule that would match most of these near misses; of several the shortest."""
    near = [
        (number, each) for number, problem in lines.items() for each in problem.near
    ]
    attributes = {
        name
        for name, count in Counter(each.attribute for _, each in near).items()
        if count >= MANY
    }
    tried = [
        _tried(text, rule.directory, near, tenant, description)
        for rule in rules.match
        if rule.directory in attributes
        for text in _candidates(
            rule.agent.text,
            [each for _, each in near if each.attribute == rule.directory],
        )
    ]
    many = [each for each in tried if each is not None and len(each.found) >= MANY]
    return min(
        many,
        key=lambda each: (-len(each.found), len(each.template), each.template),
        default=None,
    )


def _tried(
    text: str,
    attribute: str,
    near: Iterable[tuple[int, Near]],
    tenant: Tenant,
    description: Description,
) -> _Proposal | None:
    """What the rule would match: users whose value it gives, for one agent alone."""
    try:
        render = Template.parse(text).bind(tenant)
    except TemplateError:
        return None
    key = equality.keys_of(description.equality(attribute))
    wanted = {
        number: render(tenant.agents[number])
        for number in {number for number, _ in near}
    }
    found: dict[int, Near] = {}
    users: dict[Hashable, set[int]] = {}
    for number, each in near:
        value = wanted[number]
        if (
            each.attribute == attribute
            and isinstance(value, str)
            and key(value) == key(each.value)
        ):
            found[number] = each
            users.setdefault(each.user, set()).add(number)
    for agents in users.values():
        if len(agents) > 1:
            for number in agents:
                found.pop(number, None)
    return _Proposal(text, attribute, found)


def _candidates(text: str, near: Iterable[Near]) -> Iterator[str]:
    """The rule's own template with another domain, or none, in one case, or with zeros in front or without them."""
    near = list(near)
    domains = sorted(
        {each.value.rpartition("@")[2].lower() for each in near if "@" in each.value}
    )
    widths = sorted({len(each.value) for each in near if each.value.isdigit()})
    if "{{" in text or "}}" in text:
        return
    head, at, _ = (
        text.rpartition("@") if "@" in text.rpartition("}")[2] else (text, "", "")
    )
    locals_ = [head] if at else [text]
    locals_ += [f"{text[:-1]}|before:'@'}}"] if _LONE.fullmatch(text) else []
    for local in locals_:
        for end in ("", *(f"@{domain}" for domain in domains)):
            bare = _PADDED.sub("}", local)  # padded anew, it need not be padded before
            for step in (
                "",
                "|lower",
                "|upper",
                "|strip",
                "|unpad",
                *(f"|pad:{width}" for width in widths),
            ):
                candidate = (
                    _END.sub(f"{step}}}", bare if "pad" in step else local) + end
                )
                if candidate != text:
                    yield candidate
