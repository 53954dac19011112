"""Hiding people."""
