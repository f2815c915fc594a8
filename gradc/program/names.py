"""What C calls a program, its arguments and its results.

Enters: names that users gave, paths of leaves, labels of results. Leaves: identifiers of C. Always
holds: they are distinct, and none means something in C already.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..cnames import Names, identifier
from ..errors import ArgumentError, fail
from ..lower.reserved import ARGUMENTS, PROGRAMS
from ..trace import Traced
from ..tree import Tree

LONGEST_NAME = 60
"""Of a program: file systems, and the tables of linkers, have their limits."""
BESIDE = ("_example", "_parameters")
"""What the files that are exported beside a program are called by, after its name."""


def program_name(text: str) -> str:
    """The name that a user gave a program, if C can use it; else `ArgumentError`."""
    if not isinstance(text, str):
        message = f"`name` is a string, got {text!r}"
        raise fail(ArgumentError, "GC432", message, helps=('write `name="..."`',))
    plain = text.isascii() and text.isidentifier() and text[0] != "_"
    if plain and len(text) <= LONGEST_NAME and _is_free(text):
        return text
    message = f"`{text}` cannot name a program: it names files, types and functions in C"
    rule = f"letters, digits and underscores, a letter first, at most {LONGEST_NAME}"
    if plain and text.endswith(BESIDE):
        message = f"`{text}` cannot name a program: files beside another are called so"
        rule = f"no name that ends in {' or '.join(f'`{end}`' for end in BESIDE)}"
    elif plain and not _is_free(text):
        message = f"`{text}` cannot name a program: it means something in C"
        rule = "no word, function or header of C"
    suggestion = derived_name(text)
    raise fail(ArgumentError, "GC435", message, helps=(f'use {rule}: `name="{suggestion}"`',))


def derived_name(text: str) -> str:
    """What C calls a program that is named after a Python function: as near to it as can be."""
    name = identifier(text)[:LONGEST_NAME].rstrip("_")
    return name if _is_free(name) else f"{name}_program"


def _is_free(name: str) -> bool:
    return name not in PROGRAMS and not name.startswith("gradc_") and not name.endswith(BESIDE)


def output_names(results: Tree, labels: Sequence[str | None], names: Names) -> tuple[str, ...]:
    """C names for outputs: the user's key, else what a result calls itself, else its place.

    So `{"accuracy": a}` is `accuracy`, the results of `value_and_grad` are `value` and `d_x`, and
    what is left is `out` or `out_0`.
    """
    chosen = []
    for path, label in zip(results.paths(), labels, strict=True):
        by_place = not path or path[:1].isdigit()
        chosen.append(path if not by_place else label or (f"out_{path}" if path else "out"))
    return tuple(names.fresh(identifier(name)) for name in chosen)


def input_paths(traced: Traced) -> list[str]:
    """The path of each input; a tied one goes by its first."""
    paths = [""] * len(traced.graph.inputs)
    for path, position in zip(traced.paths, traced.leaf_inputs, strict=True):
        paths[position] = paths[position] or path
    return paths


def argument_names(paths: Sequence[str]) -> tuple[tuple[str, ...], Names]:
    """Distinct C names for the arguments, and what is left for the outputs."""
    names = Names(ARGUMENTS)
    return tuple(names.fresh(identifier(p)) for p in paths), names
