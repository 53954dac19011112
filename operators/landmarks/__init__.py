"""Points on faces."""
