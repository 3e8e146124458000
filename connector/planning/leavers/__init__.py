"""Users that no agent claims any more, and what other jobs own."""
