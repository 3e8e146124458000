"""Making a job that fits a directory and a tenant: what `init` finds out, proposes and writes."""
