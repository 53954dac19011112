"""Hiding people so that who is entitled to can undo it."""
