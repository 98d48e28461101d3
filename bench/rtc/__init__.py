"""Two connected ends, in one process or two, of ours or of a bare engine. See :mod:`.pair`."""
