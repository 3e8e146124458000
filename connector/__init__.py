"""Brings the agents of a CEC tenant into a corporate directory, by a plan that a reviewer can sign."""

__version__ = "0.1.0"
