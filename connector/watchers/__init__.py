"""Watchers that a job asks for: they keep account of its runs outside of the program."""
