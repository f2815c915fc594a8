"""The header of a program, and the same declarations for cffi.

Enters: the interface of a program. Leaves: text. Always holds: it compiles as C11 and as C++, and
needs nothing but the standard headers it includes; what holds for all functions is said once, at
the top.
"""

from __future__ import annotations

import textwrap

from ..dtypes import c_name
from .expressions import literal
from .extents import Extents
from .interface import Interface
from .parameters import declare_load
from .state import describe_init, write_structs
from .writer import Writer


def header_text(p: Interface, extents: Extents) -> str:
    """The header file."""
    w = Writer()
    _title(w, p)
    w.line(f"#ifndef GRADC_{p.upper}_H")
    w.line(f"#define GRADC_{p.upper}_H")
    w.line()
    w.line("#include <stdalign.h>")
    w.line("#include <stddef.h>")
    w.line("#include <stdint.h>")
    w.line()
    w.line("#ifdef __cplusplus")
    w.line('extern "C" {')
    w.line("#endif")
    w.line()
    _statuses(w, p)
    _extents(w, p, extents)
    public = extents.prefixed(p.prefix)
    if p.layout is not None:
        queries = [p.function(e) for e in p.entries if e.scope == "params"]
        write_structs(w, p.layout, queries, public)
    _arenas(w, p, public)
    if p.layout is not None:
        w.comment(describe_init(p.layout))
        w.line(f"void {p.init}({p.name}_state *state, uint64_t seed);")
        w.line()
    if p.has_params:
        declare_load(w, p)
    for entry in p.entries:
        w.comment(p.describe(entry))
        p.signature(w, entry, ";")
        w.line()
        if entry.repeats:
            w.comment(p.describe_many(entry))
            p.many_signature(w, entry, ";")
            w.line()
    w.line("#ifdef __cplusplus")
    w.line("}")
    w.line("#endif")
    w.line()
    w.line("#endif")
    return w.text


def _title(w: Writer, p: Interface) -> None:
    """What the file is, how to call it, and the contract of all functions."""
    w.line(f"/* {p.name}.h: the interface of {p.name}.c, written by gradc.")
    w.line(" *")
    for line in _usage(p):
        w.line(f" *     {line}")
    w.line(" *")
    text = []
    if p.statuses:
        text.append(
            f"Each function that returns `int` returns {p.ok}, or else the first requirement that"
            " its arguments do not meet; it has then written nothing. A result that is not finite"
            " is no failure."
        )
    text.append(
        "Arrays are dense, the last index running fastest. What is written must overlap nothing"
        " else that is passed: neither state, outputs, inputs nor arena; inputs may be the same."
    )
    if p.layout is not None or p.arena_members:
        text.append(
            "Structs may be static, on the stack, or in memory aligned as they are (aligned_alloc);"
            " no function keeps anything anywhere else."
        )
    for k, paragraph in enumerate(text):
        w.folded(paragraph, " * ", "")
        w.line(" *" if k < len(text) - 1 else " */")


def _usage(p: Interface) -> list[str]:
    """A few lines of C that call the first entry point."""
    lines = []
    e = p.entries[0]
    if p.layout is not None:
        lines.append(f"static {p.name}_state state;")
    if e.arena:
        lines.append(f"static {p.arena_type} arena;")
    if p.layout is not None:
        lines.append(f"{p.init}(&state, 0);")
    numbers = {
        a.identifier: literal(a.default, a.dtype) for a in e.scalars if a.default is not None
    }
    call = f"{p.example_call(e, numbers)};"
    result = f"{p.returns(e)} {e.outputs[0].identifier} = " if e.returns_value else ""
    status = "int status = " if p.statuses and not e.returns_value else ""
    return [*lines, *textwrap.wrap(f"{status}{result}{call}", 88, subsequent_indent="    ")]


def _statuses(w: Writer, p: Interface) -> None:
    if not p.statuses:
        return
    w.comment("What a call returns.")
    with w.block("enum", end="};"):
        width = max(len(f"{s.enumerator} = {k},") for k, s in enumerate(p.statuses))
        for k, status in enumerate(p.statuses):
            end = "," if k < len(p.statuses) - 1 else ""
            text = f"{status.enumerator} = {k}{end}"
            w.line(f"{text:<{width}} /* {status.meaning} */" if status.meaning else text)
    w.line()


def _extents(w: Writer, p: Interface, extents: Extents) -> None:
    if not extents.enumerators:
        return
    w.comment("The extents of the arrays.")
    with w.block("enum", end="};"):
        values = zip(extents.public(p.prefix), extents.enumerators.values(), strict=True)
        w.listed(f"{name} = {value}" for (_, name), value in values)
    w.line()


def _arenas(w: Writer, p: Interface, extents: Extents) -> None:
    """The types of the scratch memory."""
    if p.arena_members:
        kind = "struct" if len(p.arena_members) == 1 else "union"
        w.comment(
            f"Scratch of one call, {p.arena_bytes:,} bytes: written before it is read, of no value"
            " afterwards."
        )
        with w.block(f"typedef {kind} {p.arena_type}", end=f"}} {p.arena_type};"):
            for k, (field, dtype, count) in enumerate(p.arena_members):
                align = "alignas(64) " if k == 0 else ""
                w.line(f"{align}{c_name(dtype)} {field}[{count}];")
        w.line()
    for e in p.entries:
        if not p.has_steps_arena(e):
            continue
        w.comment(
            f"Scratch of {p.function(e)}s, with room for the batch it gathers:"
            f" {p.steps_arena_bytes(e):,} bytes."
        )
        type_ = p.steps_arena_type(e)
        with w.block(f"typedef struct {type_}", end=f"}} {type_};"):
            if e.arena:
                w.line(f"{p.arena_type} step;")
            for field, a in p.steps_arena_members(e):
                size = " * ".join(extents.argument(e, e.args.index(a)))
                w.line(f"alignas(64) {c_name(a.dtype)} {field}[{size}];")
        w.line()


def cdef_text(p: Interface) -> str:
    """The declarations, as cffi reads them."""
    w = Writer()
    for type_, kind in p.type_names.items():
        w.line(f"typedef {kind} {type_} {type_};")
    for e in p.entries:
        w.line(f"{p.returns(e)} {p.function(e)}({', '.join(p.params(e)) or 'void'});")
        if e.repeats:
            w.line(f"int {p.function(e)}s({', '.join(p.many_params(e))});")
    return w.text
