"""Jobs that share a directory and a state: an attribute of a user is of the job that wrote it last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from connector.model import Description, Memory
from connector.model.draft import Draft
from connector.model.mapping import Mapping
from connector.model.patterns import are_apart


class OtherJobs:
    """What other jobs wrote last to users that concern this one. `concerns`: whether it claims a user or wrote to it.

    An attribute whose owner's last complete apply did not claim the user passes to the job
    that claims it. Values that no pattern of this job (`owns`) fits are none of its
    business. `told`: numbers for the reader, in no digest.
    """

    def __init__(
        self,
        memory: Memory,
        mapping: Mapping,
        description: Description,
        concerns: Callable[[str], bool],
    ) -> None:
        infos = description.attributes
        names = {
            alias: rule
            for rule in mapping.attributes
            for alias in infos[rule.name].definition.aliases | {rule.name.lower()}
        }
        self._held: dict[str, dict[str, str]] = {}
        users: dict[str, set[str]] = defaultdict(set)
        attributes: dict[str, set[str]] = defaultdict(set)
        passing: dict[str, set[str]] = defaultdict(set)
        for other in memory.read_other_jobs():
            if not concerns(other.user.id):
                continue
            users[other.job].add(other.user.id)
            found = (
                (names.get(name.lower()), pattern)
                for name, pattern in other.attributes.items()
            )
            for rule in [
                rule
                for rule, pattern in found
                if rule and not are_apart(rule.owns, pattern)
            ]:
                attributes[other.job].add(rule.name)
                if not other.claims:
                    passing[other.job].add(other.user.id)
                elif not rule.take_over:
                    self._held.setdefault(other.user.id, {})[rule.name] = other.job
        self.told = {
            f"job {job}": _describe_job(
                len(users[job]), sorted(attributes[job]), len(passing[job])
            )
            for job in sorted(users)
        }

    def hold_theirs(self, draft: Draft) -> None:
        held = self._held.get(draft.user.id, {})
        for name in [each.name for each in draft.planned if each.name in held]:
            draft.hold(
                (name,),
                draft.problem(
                    "another job",
                    f"another job ({held[name]}) writes this attribute",
                    name,
                ),
            )


def _describe_job(
    users: int,
    attributes: list[str],
    passing: int,
) -> str:
    said = f"wrote to {users} of these users; attributes in common: {', '.join(attributes) or 'none'}"
    return (
        f"{said}; {passing} users, which it no longer claims, pass to this job"
        if passing
        else said
    )
