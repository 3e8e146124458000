"""The built-in schedule: when a job is to run, its runs as processes of their own, health and metrics."""
