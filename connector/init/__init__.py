"""What `init` finds out about a directory, and the files that it writes."""
