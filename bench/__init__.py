"""How fast the core is, beside Node: ``python -m bench``. See README.md."""
