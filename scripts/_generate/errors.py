"""What stops a generation."""


class SpecError(Exception):
    """The spec says what the generator cannot carry over. The message says what to mend."""
