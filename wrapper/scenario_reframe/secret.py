"""A value that is not shown: neither in a repr nor in a traceback with locals."""

from typing import Generic, NoReturn, TypeVar, cast

T = TypeVar("T")


class Secret(Generic[T]):
    """Holds a value that only `reveal` gives. It is not pickled.

    Use what `reveal` gives in an expression: in a variable, a traceback with locals would show it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    @classmethod
    def of(cls, value: "T | Secret[T]") -> "Secret[T]":
        """The value hidden, if it is not yet."""
        return cast("Secret[T]", value) if isinstance(value, Secret) else cls(value)

    def reveal(self) -> T:
        """The value."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> "Secret[T]":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret[T]":
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled: pass it to the other process in its environment")
