"""Servers that share a Redis: a real one, started by the tests."""
