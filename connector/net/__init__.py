"""What sources, directories and observers share of the network: HTTP, TLS, secret stores, retries, counters."""
