"""The generated C as a reader sees it: lines that fit, and names that mean what they say.

Asked of every golden file, of a transformer block and of a recurrent cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import readable_programs

from gradc.lower.reserved import FUNCTIONS, KEYWORDS
from gradc.ops import OPS

GOLDEN = Path(__file__).resolve().parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.c"))
MADE = {"block": readable_programs.block, "cell": readable_programs.cell}

TYPES = r"(?:float|double|size_t|int|u?int(?:8|16|32|64)_t)"
DECLARED = re.compile(rf"\b{TYPES} (?:\*(?:restrict |const )?)?([A-Za-z_]\w*)")
NOTATION = {*OPS, "T", "axis", "with", "in", "out", "scratch", "gradient", "of", "arange"}
"""Words of a comment that are the notation's own."""


@pytest.fixture(scope="module", params=[*FILES, *MADE])
def source(request: pytest.FixtureRequest) -> str:
    name = request.param
    return MADE[name]().source if name in MADE else (GOLDEN / f"{name}.c").read_text()


def kernels(source: str) -> Iterator[tuple[str, str]]:
    """(comment, text) of each kernel."""
    pattern = r"(?:/\*((?:[^*]|\*(?!/))*)\*/\n)?(GRADC_KERNEL .*?\n}\n)"
    for match in re.finditer(pattern, source, re.DOTALL):
        yield match[1] or "", match[2]


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def test_a_line_fits_into_100_columns(source):
    assert [line for line in source.splitlines() if len(line) > 100] == []


def test_nothing_in_a_kernel_hides_a_function_of_the_library(source):
    for _, text in kernels(source):
        declared = set(DECLARED.findall(text))
        assert declared
        assert declared & (FUNCTIONS | set(KEYWORDS.split())) == set(), text.partition("(")[0]


def test_every_name_in_a_comment_occurs_in_the_code(source):
    found = list(kernels(source))
    assert found
    for comment, text in found:
        formulas = re.sub(r"(?:gradient of )?\b\w+\.py:[\d, ]+", "", comment)
        assert formulas.strip(" ;"), text.partition("(")[0]
        assert words(formulas) - NOTATION - words(text) == set(), comment


def test_a_comment_is_no_list_of_steps(source):
    for comment, _ in kernels(source):
        assert comment.count("\n") < 20, comment


NUMBERED = re.compile(r"\w*[a-z]_\d+")


def test_a_local_has_a_word_and_no_number(source):
    for _, text in kernels(source):
        _, _, body = text.partition("\n{\n")
        inputs = words(text) - set(DECLARED.findall(body))
        numbered = [name for name in DECLARED.findall(body) if NUMBERED.fullmatch(name)]
        assert [n for n in numbered if not any(i in n for i in inputs)] == [], text


def test_a_name_means_one_value_of_a_function(source):
    """It is declared again in loops beside each other alone, for the same type."""
    for _, text in kernels(source):
        types: dict[str, set[str]] = {}
        for type_, name in re.findall(rf"\b({TYPES}) \*?(?:const )?(\w+)(?= =|;|\[)", text):
            types.setdefault(name, set()).add(type_)
        assert {n: t for n, t in types.items() if len(t) > 1} == {}
