"""The search for the cheapest setting of a config that keeps what was asked for."""
