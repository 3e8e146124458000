"""Why one agent is planned for as it is."""
