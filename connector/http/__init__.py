"""What the CEC source and SCIM both need of HTTP: exchanges, bounded bodies, waits, tokens, faults in our words."""
