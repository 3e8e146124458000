"""Applying a plan: the engine, the ledger of its writes, reading back, and recovery after an interruption."""
