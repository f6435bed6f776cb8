"""Compares the model as a vendor's source states it with the model that this client knows. No I/O.

The vendor changes models without notice. A source is the reply to `GET /models/{modelId}`
(see `model_record`), or anything else that was read into a `VendorSource`. Only differences that
the source can prove count.
"""

from collections.abc import Iterable, Iterator

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from .vendor_settings import (
    NO_LIMITS,
    Aspect,
    Change,
    KnownSetting,
    StatedSetting,
    VendorSource,
    choices_words,
    limits_words,
    stated_words,
    summary,
    words,
)


def known_settings() -> list[KnownSetting]:
    """The settings of the generated table, and the video's field."""
    video = KnownSetting(name=VIDEO_FIELD, kind="file", required=True)
    return [
        video,
        *(
            KnownSetting(
                name=row.wire,
                kind=row.kind,
                default=row.default,
                limits=(row.bounds.minimum, row.bounds.maximum),
                choices=row.choices,
                required=row.required,
                maybe_file=row.kind == "string",
            )
            for row in SETTINGS
        ),
    ]


def compare(known: Iterable[KnownSetting], source: VendorSource) -> list[Change]:
    """Every difference that the source proves: in the order of `known`, then added settings."""
    stated = {row.name: row for row in source.settings}
    changes: list[Change] = []
    for row in known:
        found = stated.pop(row.name, None)
        if found is not None:
            changes += _differences(row, found, source)
        elif source.complete or not (row.kind == "file" or row.required):
            changes.append(_removal(row))
    return changes + [_addition(row, source.proves) for row in stated.values()]


def same_type(row: KnownSetting, found: StatedSetting) -> bool:
    """Whether both have the same type, as far as the vendor's types show."""
    if row.kind == "integer":
        return found.type == "number" and not found.has_fractions
    return found.type == row.kind or (row.maybe_file and found.type == "file")


def _differences(row: KnownSetting, found: StatedSetting, source: VendorSource) -> Iterator[Change]:
    proves = source.proves
    alike = same_type(row, found)
    if not alike:
        yield _type_change(row, found, proves)
    same = _equal(row.default, found.default) if alike else _same_text(row, found)
    if "default" in proves and row.kind != "file" and not same:
        yield Change(
            setting=row.name,
            kind="default",
            spec=words(row.default),
            source=words(found.default),
            breaks="may",
            why="calls without it give another result",
        )
    if (alike or _widened(row, found)) and row.kind != "file":
        if "bounds" in proves and found.limits not in {None, row.limits}:
            yield _bounds_change(row, found)
        if "choices" in proves and set(row.choices) != set(found.choices):
            yield _choices_change(row, found)
    # A page may omit that a setting is required, so it cannot prove that one is optional.
    proven = "required" in proves and (found.required or source.complete)
    if proven and row.required != found.required:
        yield _required_change(row, found)


def _widened(row: KnownSetting, found: StatedSetting) -> bool:
    return row.kind == "integer" and found.type == "number"


def _same_text(row: KnownSetting, found: StatedSetting) -> bool:
    """Whether both defaults are the same, apart from their type."""
    return words(row.default) == words(found.default)


def _equal(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1; an empty text means no default."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return one == other or (one in (None, "") and other in (None, ""))


def _removal(row: KnownSetting) -> Change:
    return Change(
        setting=row.name,
        kind="removed",
        spec=summary(row.kind, row.default, row.limits, row.choices),
        source="not there",
        breaks="yes",
        why="calls with it are refused, or it has no effect",
    )


def _addition(found: StatedSetting, proves: frozenset[Aspect]) -> Change:
    return Change(
        setting=found.name,
        kind="added",
        spec="not there",
        source=stated_words(found, proves),
        breaks="yes" if found.required else "no",
        why="calls without it are refused" if found.required else "it is optional",
    )


def _type_change(row: KnownSetting, found: StatedSetting, proves: frozenset[Aspect]) -> Change:
    widened = _widened(row, found)
    return Change(
        setting=row.name,
        kind="type",
        spec=row.kind,
        source="number, with fractions" if widened else stated_words(found, proves),
        breaks="no" if widened else "yes",
        why="whole numbers stay allowed" if widened else "values of the old type are refused",
    )


def _bounds_change(row: KnownSetting, found: StatedSetting) -> Change:
    (low, high), (new_low, new_high) = row.limits, found.limits or NO_LIMITS
    raised = new_low is not None and (low is None or new_low > low)
    lowered = new_high is not None and (high is None or new_high < high)
    return Change(
        setting=row.name,
        kind="bounds",
        spec=limits_words(row.limits),
        source=limits_words(found.limits),
        breaks="yes" if raised or lowered else "no",
        why="values once allowed are refused" if raised or lowered else "more is allowed",
    )


def _choices_change(row: KnownSetting, found: StatedSetting) -> Change:
    removed = [choice for choice in row.choices if choice not in found.choices]
    narrowed = bool(found.choices and (removed or not row.choices))
    return Change(
        setting=row.name,
        kind="choices",
        spec=choices_words(row.choices),
        source=choices_words(found.choices),
        breaks="yes" if narrowed else "no",
        why="values once allowed are refused" if narrowed else "more is allowed",
    )


def _required_change(row: KnownSetting, found: StatedSetting) -> Change:
    return Change(
        setting=row.name,
        kind="required",
        spec="required" if row.required else "optional",
        source="required" if found.required else "optional",
        breaks="yes" if found.required else "no",
        why="calls without it are refused" if found.required else "it is optional",
    )
