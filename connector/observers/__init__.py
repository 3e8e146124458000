"""Observers that a job asks for: audit, metrics, traces, notifications."""
