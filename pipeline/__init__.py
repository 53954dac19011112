"""Moves frames through operators: brokers, media, Ray actors, command line."""
