"""What a running process has: its clock, and requests to stop."""
