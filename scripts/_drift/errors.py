"""The error of a comparison."""


class SourceError(Exception):
    """A source cannot be read or is invalid. The message gives the reason."""
