"""The steps of a plan that concern one agent, as values."""
