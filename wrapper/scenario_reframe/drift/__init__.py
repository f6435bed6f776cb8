"""Compares the vendor's model with the spec. Imported only when it is used."""
