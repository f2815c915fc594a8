"""The headers that generated code needs.

Enters: what a text uses, noted while it is printed (`Writer.need`). Leaves: the headers to include,
and the files of the runtime that have to stand beside it. Always holds: nothing is looked up in the
text itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

STANDARD = ("assert.h", "math.h", "string.h")
"""Headers of C that a text may need beyond those that its own header includes."""
RUNTIME: dict[str, tuple[str, ...]] = {
    "gradc_base.h": (),
    "gradc_convert.h": ("gradc_base.h",),
    "gradc_file.h": ("gradc_base.h",),
    "gradc_lanes.h": ("gradc_base.h",),
    "gradc_math.h": ("gradc_base.h",),
    "gradc_random.h": ("gradc_math.h",),
    "gradc_simd.h": ("gradc_base.h",),
}
"""The headers of the runtime, and those of them that each includes itself."""


def standard_headers(needs: Iterable[str]) -> list[str]:
    """The standard headers to include, in order."""
    return sorted(set(needs) & set(STANDARD))


def runtime_headers(needs: Iterable[str]) -> list[str]:
    """The headers of the runtime to include, in order."""
    return sorted(set(needs) & set(RUNTIME))


def runtime_files(needs: Iterable[str]) -> tuple[str, ...]:
    """The files of the runtime that are included, by the text or by one another."""
    return tuple(sorted({file for header in runtime_headers(needs) for file in _closure(header)}))


def _closure(header: str) -> Iterator[str]:
    yield header
    for inner in RUNTIME[header]:
        yield from _closure(inner)
