"""What stops a comparison."""


class SourceError(Exception):
    """A source cannot be read, or is not what it should be. The message says why."""
