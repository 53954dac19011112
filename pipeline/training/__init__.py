"""Offline jobs: how the project's own networks are made, measured and exported."""
