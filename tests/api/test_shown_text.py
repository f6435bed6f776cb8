"""Text that others wrote, as it is shown: one line, printable, no secrets, in linear time."""

import sys
import unicodedata

import pytest

from scenario_reframe.api import sanitize
from scenario_reframe.api.json_values import text_or_none
from scenario_reframe.api.sanitize import printable, without_secrets

FORGED = "no\nTo finish, run: evil\r\n\x0b\x0c\x85\u2028\u2029scenario-reframe: done"


def test_no_text_makes_a_second_line() -> None:
    """Of any kind of line end."""
    assert printable(FORGED) == "no To finish, run: evil scenario-reframe: done"
    assert text_or_none(FORGED) == printable(FORGED)


def test_only_printable_characters_are_shown() -> None:
    """Of all of Unicode: none that controls, is not assigned, is private, or shows as nothing."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = printable(every, len(every))
    kinds = {unicodedata.category(letter) for letter in shown}
    assert kinds.isdisjoint({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
    assert {letter for letter in shown if letter.isspace()} == {" "}
    for (
        hidden
    ) in "\u200b\u200d\u200e\u200f\u202e\u2060\u2066\ufeff\ufe0f\U000e0041\U000e0100\u3164":
        assert printable(f"a{hidden}b") == "ab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clip  two.mp4", "clip  two.mp4"),
        ("Screenshot 3.04\u202fPM", "Screenshot 3.04 PM"),
        ("e\u0301te\u0301", "e\u0301te\u0301"),
        ("a\tb", "a b"),
        ("bad\udcff\udc80.mp4", r"bad\xff\x80.mp4"),
        ("\x1b]0;a title without end", "0;a title without end"),
        ("\x1bPq\x1b\\picture\x1b_x\x07", "picture"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    """Names stay recognisable, those that are not UTF-8 too."""
    assert printable(text) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://cdn.test/a?Signature=x now", "see https://cdn.test/a now"),
        ("see https:\x1b[0m//cdn.test/a\u200b?Signature=x", "see https://cdn.test/a"),
        ("https:\\/\\/cdn.test\\/a?Signature=x", "https:\\/\\/cdn.test\\/a"),
        ("https://a.test/https://b.test/c?d", "https://a.test/https://b.test/c"),
        ("postgresql://user:p@ss@host/db", "postgresql://host/db"),
        ("postgresql://host/db?password=pw", "postgresql://host/db"),
        ("https://host/@user", "https://host/@user"),
    ],
)
def test_no_secret_of_a_url_is_shown(text: str, shown: str) -> None:
    """However its slashes are written, and whatever hides in it."""
    assert printable(text) == shown


PATTERNS = ("://", ":", "\\", ":\\/\\/", "://a?", "://a@", ":/\\", "\x1b]", "\x1b[0", "\x1bP", "@?")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
@pytest.mark.parametrize("head", ["", "://", "\x1b[", "\x1b]"], ids=ascii)
def test_the_time_is_linear(head: str, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million characters, which would take far too long if the time grew with their square."""
    text = head + pattern * (1_000_000 // len(pattern))
    without_secrets(text)
    monkeypatch.setattr(sanitize, "_RAW_PER_SHOWN", 1_000_000)  # cut nothing
    printable(text, 10)


def test_little_of_a_long_text_is_read() -> None:
    """What follows does not matter; not even its letters are looked at."""
    assert printable("a" * 100 + "\n" * 10**8, 50) == "a" * 49 + "…"
    assert printable("\x1b[0m" * 1000 + "end", 50) == ""
