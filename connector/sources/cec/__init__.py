"""The agent query of a CEC tenant, over HTTPS."""

from connector.sources.cec.client import CecSource

__all__ = ["CecSource"]
