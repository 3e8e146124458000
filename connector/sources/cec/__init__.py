"""The agent query of a CEC tenant, over HTTPS."""
