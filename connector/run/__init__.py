"""What a run is made of: its context, composed from a job file, and the look-ups that it makes."""
