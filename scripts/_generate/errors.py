"""The error of the generator."""


class SpecError(Exception):
    """The spec has a part that the generator does not support. The message gives the remedy."""
