"""`serve`: jobs on their own schedules, each run in a process of its own."""
