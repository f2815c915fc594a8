"""The generated C as a reader sees it: lines that fit, names that mean what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradc.lower.reserved import FUNCTIONS

GOLDEN = Path(__file__).resolve().parent / "golden"
SOURCES = {path.stem: path.read_text() for path in sorted(GOLDEN.glob("*.c"))}

TYPES = r"(?:float|double|size_t|int|u?int(?:8|16|32|64)_t|gradc_[fiu]\d+x\d+)"
DECLARED = re.compile(rf"\b{TYPES} (?:\*(?:restrict |const )?)?([A-Za-z_]\w*)")


def kernels(source: str) -> Iterator[tuple[str, str]]:
    """(comment, text) of each kernel."""
    pattern = r"(?:/\*((?:[^*]|\*(?!/))*)\*/\n)?(GRADC_KERNEL .*?\n}\n)"
    for match in re.finditer(pattern, source, re.DOTALL):
        yield match[1] or "", match[2]


@pytest.mark.parametrize("name", SOURCES)
def test_a_line_fits_into_100_columns(name):
    assert [line for line in SOURCES[name].splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_in_a_kernel_hides_a_function_of_the_library(name):
    for _, text in kernels(SOURCES[name]):
        declared = set(DECLARED.findall(text))
        assert declared
        assert declared & FUNCTIONS == set(), text.partition("(")[0]
