"""What speaks against a plan: limits, and what the schema forbids."""
