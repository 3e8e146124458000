"""Observers of a run: their base class, and those that a job asks for: audit, metrics, traces, notifications."""
