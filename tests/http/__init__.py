"""HTTP over data connections, and the servers behind it."""
