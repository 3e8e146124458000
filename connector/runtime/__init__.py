"""What a running process has: its clock, its observers, and requests to stop."""
