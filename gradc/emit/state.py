"""The state in C: the text of its structs, and the function that initialises them.

Enters: a `StateLayout`. Leaves: the structs, `<name>_init`, and what a comment says of it. Always
holds: one seed gives the same numbers whatever the target and however a matrix is stored, since
they are drawn in the order of the elements in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, c_name, c_suffix, short
from .expressions import literal, literal_headers, literals
from .extents import Extents
from .indices import product_text, shape_text
from .layout import Member, Part, Section, StateLayout
from .writer import WIDTH, Writer

MOST_PER_LINE = 8
"""Values of a table on one line, if they are short."""
DRAWN = ("uniform", "normal")
"""Recipes that draw numbers."""


def write_structs(w: Writer, layout: StateLayout, queries: Sequence[str], extents: Extents) -> None:
    """The struct of the parameters, if there is one, and that of the state.

    `queries` are the functions that need no more than the parameters.
    """
    if layout.params is not None:
        for_ = f", all that {_listed(queries)} need" + ("s" if len(queries) == 1 else "")
        what = f"What the model computes with{for_ if queries else ''}"
        w.comment(f"{what}: {layout.params.nbytes:,} bytes.")
        _write_struct(w, layout.params.type, layout.params.members, extents)
        w.line()
    w.comment(f"All that is kept from one call to the next: {layout.nbytes:,} bytes.")
    _write_struct(w, f"{layout.name}_state", layout.parts, extents)
    w.line()


def _write_struct(w: Writer, type_: str, parts: Sequence[Part], extents: Extents) -> None:
    with w.block(f"typedef struct {type_}", end=f"}} {type_};"):
        stored = [p for p in parts if isinstance(p, Section) or p.size]  # C has no empty arrays
        rows = []
        for part in stored:
            if isinstance(part, Section):
                rows.append((f"{part.type} {part.identifier};", ""))
                continue
            align = f"alignas({part.alignment}) " if part.alignment > 4 else ""
            texts = extents.member(part)
            extent = f"[{' * '.join(texts)}]" if part.shape else ""
            shape = shape_text(extents.short(part)) if len(texts) > 1 else ""
            how = f"{shape}, transposed" if part.swapped else shape
            rows.append((f"{align}{c_name(part.dtype)} {part.identifier}{extent};", how))
        w.table(rows)
        if not stored:
            w.line("char nothing;")


def array_comment(m: Member) -> str:
    """The type of a member in Python, and how it is stored."""
    how = f", stored as {list(m.stored_shape)}" if m.swapped else ""
    return f"{short(m.dtype, m.shape)}{how}"


def write_layout_checks(w: Writer, layout: StateLayout) -> None:
    """Assertions that the C compiler lays the structs out as planned: sizes, and every place."""
    state = f"{layout.name}_state"
    sizes = {state: layout.nbytes}
    sizes |= {s.type: s.nbytes for s in layout.sections}
    for type_, size in sorted(sizes.items()):
        w.call("static_assert", [f"sizeof({type_}) == {size}", '"the size is as planned"'], ";")
    w.need("assert.h")
    _write_places(w, state, layout.parts, 0)
    for type_, section in {s.type: s for s in layout.sections}.items():
        _write_places(w, type_, section.members, section.offset)
    w.line()


def _write_places(w: Writer, type_: str, parts: Sequence[Part], start: int) -> None:
    for part in parts[1:]:  # the first is where the struct begins
        if isinstance(part, Section) or part.size:
            where = f"offsetof({type_}, {part.identifier}) == {part.offset - start}"
            w.call("static_assert", [where, '"the place is as planned"'], ";")


# Initialisation


def describe_init(layout: StateLayout) -> str:
    """What `<name>_init` does, for its comment."""
    by_kind: dict[str, list[Member]] = {"drawn": [], "given": [], "seed": [], "clear": []}
    for m in layout.members:
        by_kind[_kind(m)].append(m)
    parts = []
    if by_kind["drawn"]:
        parts.append(
            f"draw {_some(layout, by_kind['drawn'])} from the distributions of the model's layers,"
            " the same numbers for the same seed on every target"
        )
    if by_kind["given"]:
        values = "the values they had when this was compiled"
        parts.append(f"give {_some(layout, by_kind['given'])} {values}")
    if by_kind["seed"]:
        parts.append(f"set {_some(layout, by_kind['seed'])}")
    text = "; ".join([*parts, "clear all else"] if parts else ["clear the state"])
    return f"{text[0].upper()}{text[1:]}."


def write_init(w: Writer, layout: StateLayout, extents: Extents) -> None:
    """`<name>_init`."""
    for m in layout.members:
        if _is_table(m):
            _write_table(w, m)
    w.line(f"void {layout.name}_init({layout.name}_state *state, uint64_t seed)")
    with w.block(""):
        w.need("string.h")
        w.line("memset(state, 0, sizeof *state);")
        if not any(_kind(m) in ("drawn", "seed") for m in layout.members):
            w.line("(void)seed;")
        for stream, m in enumerate(layout.members):
            _write_member(w, m, stream, extents)
    w.line()


def _kind(m: Member) -> str:
    """What its first value is: "drawn", "seed", "given" or "clear"."""
    if not m.size:
        return "clear"
    if m.recipe is None:
        bits = np.ascontiguousarray(m.initial).reshape(-1).view(np.uint8)  # -0.0 is not clear
        return "given" if bits.any() else "clear"
    if m.recipe[0] == "constant":
        return "given" if m.recipe[1] else "clear"
    return "drawn" if m.recipe[0] in DRAWN else "seed"


def _write_member(w: Writer, m: Member, stream: int, extents: Extents) -> None:
    """The lines of `init` for one member. Each one drawn has a stream of random numbers."""
    if _kind(m) == "clear":
        return
    match m.recipe:
        case ("seed",):
            w.line(f"state->{m.path} = seed;")
        case ("uniform" | "normal" as kind, first, second):
            w.need("gradc_random.h")
            function = f"gradc_fill_{kind}{c_suffix(m.dtype)}"
            texts = extents.member(m)
            counts = texts[::-1] if m.swapped else [product_text(texts) or "1"]
            numbers = [literal(float(x), m.dtype) for x in (first, second)]
            args = [pointer(m, "state"), *counts, *numbers, "seed", str(stream)]
            w.call(f"{function}{'_transposed' if m.swapped else ''}", args, ";")
        case ("constant", value):
            _write_constant(w, m, value, extents)
        case _ if m.size == 1:
            _write_constant(w, m, m.initial.reshape(()).item(), extents)
        case _:
            table = f"initial_{m.path.replace('.', '_')}"
            w.call("memcpy", [pointer(m, "state"), table, f"sizeof {table}"], ";")


def pointer(m: Member, state: str) -> str:
    """The member as a pointer to its first element."""
    return f"{'' if m.shape else '&'}{state}->{m.path}"


def _is_table(m: Member) -> bool:
    """Whether the member's first values have to be written out."""
    return m.recipe is None and m.size > 1 and _kind(m) == "given"


def _write_constant(w: Writer, m: Member, value: float, extents: Extents) -> None:
    w.need(*literal_headers(value))
    text = literal(value, m.dtype)
    if not m.shape:
        w.line(f"state->{m.path} = {text};")
        return
    with w.loop("i", product_text(extents.member(m)) or "1"):
        w.line(f"state->{m.path}[i] = {text};")


def _write_table(w: Writer, m: Member) -> None:
    """The initial values of a member that was not drawn from a known distribution."""
    name = f"initial_{m.path.replace('.', '_')}"
    with w.block(f"static const {c_name(m.dtype)} {name}[{m.size}] =", end="};"):
        write_values(w, stored(m, m.initial), m.dtype)
    w.line()


def stored(m: Member, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements of a member's value in the order of the struct."""
    return value.T if m.swapped else value


def write_values(w: Writer, values: np.ndarray[Any, Any], dtype: DType) -> None:
    """The elements of an array, row-major, a few to a line."""
    if not np.isfinite(values).all():
        w.need("math.h")
    texts = literals(values, dtype)
    room = (WIDTH - 8) // (max(map(len, texts), default=0) + 2)
    count = max(1, min(room, MOST_PER_LINE))
    for k in range(0, len(texts), count):
        w.line(", ".join(texts[k : k + count]) + ",")


def _some(layout: StateLayout, members: Sequence[Member], most: int = 4) -> str:
    """The first few of a list of members, or "the parameters" if these are they."""
    if layout.params is not None and tuple(members) == layout.params.members:
        return "the parameters"
    names = [m.path for m in members]
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
