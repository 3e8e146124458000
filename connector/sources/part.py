"""A source of which a job takes some agents only."""

from __future__ import annotations

from connector.model import Tenant
from connector.reconcile.matching.job_agents import JobAgents
from connector.sources.port import Source


class PartOfSource:
    """Reads all of another source, and marks who is not this job's."""

    def __init__(self, source: Source, agents: JobAgents) -> None:
        self._source = source
        self._agents = agents

    def read(self) -> Tenant:
        return self._agents.of(self._source.read())
