"""Flows: steps without I/O, and the drivers that perform them over httpx."""
