"""The loop-nest IR as text, to be read by people and compared by tests.

Enters: a kernel. Leaves: its listing, one statement a line. Always holds: names, types and indices
are those of the IR, nothing is left out; loops are written `for i < 64 step 8`, and the ids of the
graph nodes that a statement computes stand at its end (`#12`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from ..dtypes import SHORT, DType, short
from ..index import Atom, Dyn, Index, Quot, Var
from .nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Copy,
    Declare,
    Expr,
    For,
    FromIndex,
    If,
    Joined,
    Kernel,
    Let,
    Literal,
    Load,
    LoopKind,
    Nodes,
    Param,
    Position,
    Product,
    Ref,
    Select,
    Stmt,
    Store,
    Transpose,
)

INDENT = "    "


def listing(kernel: Kernel) -> str:
    """The text of a kernel."""
    lines = [f"kernel {kernel.name}"]
    for role, params in (
        ("reads", [p for p in kernel.params if not p.written]),
        ("writes", [p for p in kernel.params if p.written]),
        ("scratch", kernel.scratch),
    ):
        if params:
            lines.append(f"{INDENT}{role} {', '.join(_param(p) for p in params)}")
    return "\n".join([*lines, *_block(kernel.body, "")])


def index_listing(index: Index) -> str:
    """An index as a sum: `128*i + p - 3`."""
    text = ""
    for atom, k in index.terms:
        term = _atom(atom) if abs(k) == 1 else f"{abs(k)}*{_atom(atom)}"
        text += (" - " if k < 0 else " + ") + term
    if index.const or not text:
        text += f"{' - ' if index.const < 0 else ' + '}{abs(index.const)}"
    return text[3:] if text.startswith(" + ") else f"-{text[3:]}"


def _atom(atom: Atom) -> str:
    if isinstance(atom, (Var, Dyn)):
        return atom.name
    inner = index_listing(atom.index)
    inner = inner if inner.isidentifier() else f"({inner})"
    return f"({inner} {'//' if isinstance(atom, Quot) else '%'} {atom.by})"


def _param(p: Param) -> str:
    return f"{p.name} {short(p.dtype, p.shape)}{' by value' if p.scalar else ''}"


def _expr(e: Expr) -> str:
    match e:
        case Load():
            return f"{e.buffer}[{index_listing(e.index)}]"
        case FromIndex():
            return f"{SHORT[e.dtype]}({index_listing(e.index)})"
        case Apply():
            return f"{e.op}({', '.join(_expr(a) for a in e.args)})"
        case Joined():
            return f"{e.op}({e.array})"
        case Literal():
            return str(e.dtype.type(e.value))
        case Ref():
            return e.name
        case _:
            assert_never(e)


def _block(body: tuple[Stmt, ...], indent: str) -> Iterator[str]:
    for s in body:
        yield from _statement(s, indent)


def _statement(s: Stmt, indent: str) -> Iterator[str]:
    match s:
        case For():
            yield f"{indent}{_loop(s)}{_ids(s.nodes)}"
            yield from _block(s.body, indent + INDENT)
        case If():
            tests = (f"{low} <= {index_listing(i)} < {high}" for i, low, high in s.tests)
            yield f"{indent}if {' and '.join(tests)}" if s.tests else f"{indent}block"
            yield from _block(s.body, indent + INDENT)
        case Product():
            yield f"{indent}{_product(s)}{_ids(s.nodes)}"
        case Transpose():
            target = f"{s.target}[{index_listing(s.target_index)}] by {s.target_row}"
            source = f"{_expr(s.source)} by {s.source_row}"
            yield f"{indent}{target} = transpose {s.rows} x {s.columns} {source}{_ids(s.nodes)}"
        case Array():
            start = "" if s.start is None else f" = {_expr(s.start)}"
            yield f"{indent}array {s.name} {short(s.dtype, (s.size,))}{start}"
        case Let() | Declare() | Position() | Assign() | Store() | Accumulate() | Select() | Copy():
            yield f"{indent}{_simple(s)}{_ids(s.nodes)}"
        case _:
            assert_never(s)


def _simple(s: Let | Declare | Position | Assign | Store | Accumulate | Select | Copy) -> str:
    match s:
        case Let():
            return f"let {_typed(s.name, s.expr.dtype)} = {_expr(s.expr)}"
        case Declare():
            return f"var {_typed(s.name, s.dtype)} = {_expr(s.start)}"
        case Position():
            return f"place {s.name} < {s.extent} = {_expr(s.expr)}"
        case Copy():
            return f"{s.target} = copy {s.size} {SHORT[s.dtype]} {s.source}"
        case Assign():
            return f"{s.name} = {_expr(s.expr)}"
        case Store():
            return f"{s.buffer}[{index_listing(s.index)}] = {_expr(s.expr)}"
        case Accumulate():
            target = s.target if s.index is None else f"{s.target}[{index_listing(s.index)}]"
            return f"{target} = {s.op}({target}, {_expr(s.expr)})"
        case Select():
            return f"{s.value}, {s.position} = {s.op}({_expr(s.expr)} at {index_listing(s.index)})"


def _product(s: Product) -> str:
    target = f"{s.target}[{index_listing(s.target_index)}] by {s.target_row}"
    a = f"{_expr(s.a)} by {s.a_row}, {s.a_column}"
    b = f"{_expr(s.b)} by {s.b_row}"
    extents = f"{s.rows} x {s.columns} x {s.depth} in {SHORT[s.dtype]}x{s.lanes}"
    return f"{target} {'+=' if s.adds else '='} product {extents} of {a} and {b}"


def _loop(s: For) -> str:
    start = "" if s.start == Index() else f"{index_listing(s.start)} <= "
    step = f" step {s.var.step}" if s.var.step > 1 else ""
    kind = "" if s.kind is LoopKind.SERIAL else f" in {s.kind.value}"
    return f"for {start}{s.var.name} < {index_listing(s.stop)}{step}{kind}"


def _typed(name: str, dtype: DType) -> str:
    return f"{name} {SHORT[dtype]}"


def _ids(nodes: Nodes) -> str:
    return "".join(f"  #{i}" for i in nodes)
