"""Which agent is which user: rules, claims, pins and near misses."""
