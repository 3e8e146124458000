"""`fleet reject`: see `fleet approve`."""

from connector.cli.fleet_approve import reject as command

__all__ = ["command"]
