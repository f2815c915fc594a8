"""Kernels as C functions.

Enters: a `Kernel` of the loop-nest IR. Leaves: its lines in a writer. Always holds: one statement
of the IR is one line (a tile is its loops); a kernel touches only its parameters and its own
locals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ..dtypes import BOOL, c_local, c_name, is_bool, is_float, item_bytes
from ..index import Index
from ..lower.nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Copy,
    Declare,
    Expr,
    For,
    If,
    Joined,
    Kernel,
    Let,
    Literal,
    Load,
    LoopKind,
    Param,
    Position,
    Product,
    Select,
    Stmt,
    Store,
    Transpose,
)
from ..lower.traverse import stores, used, walk
from ..ops.notation import Term
from ..ops.table import OPS
from .expressions import (
    apply_term,
    expression,
    index_text,
    literal_headers,
    op_headers,
    operand_dtype,
)
from .indices import Indices, Shape, shape_text
from .passing import Operand
from .rows import Row, Rows
from .writer import Writer


def param_text(p: Param) -> str:
    """The declaration of a parameter."""
    if p.scalar:
        return f"{c_name(p.dtype)} {p.name}"
    const = "" if p.written else "const "
    return f"{const}{c_name(p.dtype)} *restrict {p.name}"


def param_comment(o: Operand, shape: Sequence[str]) -> str:
    """What is said of a parameter: the part it plays, and its shape."""
    return f"{o.mark} {shape_text(shape)}".strip()


def _ends_paragraph(before: Sequence[Stmt], s: Stmt) -> bool:
    """Whether a blank line stands between: behind a pass or a product, and behind several values
    that are stored where others begin.
    """
    match before[-1]:
        case For() | Product():
            return not isinstance(s, type(before[-1]))
        case Store():
            several = len(before) > 1 and isinstance(before[-2], Store)
            return several and isinstance(s, (Let, Declare, Array, Position))
        case _:
            return False


class KernelPrinter:
    """Prints the body of one kernel; `shapes` are the extents of its parameters, as written."""

    def __init__(
        self, kernel: Kernel, writer: Writer, shapes: Sequence[Sequence[str]] = ()
    ) -> None:
        self.kernel = kernel
        self.w = writer
        params = (*kernel.params, *kernel.scratch)
        texts = shapes or [tuple(map(str, p.shape)) for p in params]
        self.shapes = {
            p.name: Shape(p.shape, tuple(text)) for p, text in zip(params, texts, strict=True)
        }
        self.indices = Indices(kernel, self.shapes)
        self.rows = Rows(kernel)
        self.params = {p.name: p for p in params}
        self.sizes = {p.name: p.size for p in params}
        self.scalars = frozenset(p.name for p in params if p.scalar)

    def function(self, name: str, operands: Sequence[Operand], comment: str) -> None:
        """The whole function under the given name, with its parameters in the given order."""
        k, w = self.kernel, self.w
        w.need("gradc_base.h")
        w.comment(comment, k.nodes)
        rows = [
            (param_text(o.param), param_comment(o, self.shapes[o.param.name].texts))
            for o in operands
        ]
        w.parameters(f"GRADC_KERNEL void {name}", rows, k.nodes)
        with w.block("", k.nodes):
            for name in self._unread(operands):
                w.line(f"(void){name};")
            self.statements(k.body)

    def _unread(self, operands: Sequence[Operand]) -> list[str]:
        """The parameters that nothing is left to read or write: a cut has computed it."""
        known: set[str] = set()
        for s in walk(self.kernel.body):
            known.update(used(s), (a.buffer for a in stores(s)))
        return [o.param.name for o in operands if o.param.name not in known]

    def statements(self, body: tuple[Stmt, ...]) -> None:
        for k, s in enumerate(body):
            if k and _ends_paragraph(body[:k], s):
                self.w.line()
            if isinstance(s, If) and not s.tests and len(body) == 1:
                self.statements(s.body)  # a block that is all there is
            else:
                self.statement(s)

    def statement(self, s: Stmt) -> None:
        w = self.w
        match s:
            case Let():
                w.statement(
                    f"const {c_local(s.expr.dtype)} {s.name} = {self._expr(s.expr)};", s.nodes
                )
            case Declare():
                w.statement(f"{c_local(s.dtype)} {s.name} = {self._expr(s.start)};", s.nodes)
            case Array():
                self._array(s)
            case Position():
                w.line(f"const size_t {s.name} = (size_t){self._expr(s.expr)};", s.nodes)
            case Assign():
                w.statement(f"{s.name} = {self._expr(s.expr)};", s.nodes)
            case Store():
                target = self._place(s.buffer, s.index)
                w.statement(f"{target} = {self._stored(s.expr)};", s.nodes)
            case Accumulate():
                self._accumulate(s)
            case Select():
                self._select(s)
            case If():
                tests = [t for i, low, high in s.tests for t in self._test(i, low, high)]
                with w.block(f"if ({' && '.join(tests)})" if tests else ""):
                    if tests:
                        w.line("GRADC_TESTED")
                    self.statements(s.body)
            case For():
                self._loop(s)
            case Copy():
                w.need("string.h")
                w.line(f"memcpy({s.target}, {s.source}, {s.size} * sizeof *{s.target});", s.nodes)
            case Transpose():
                w.need("gradc_simd.h")
                self._transpose(s)
            case Product():
                self._product(s)
            case _:
                assert_never(s)

    def _expr(self, expr: Expr) -> str:
        return self._term(expr).text

    def _term(self, expr: Expr) -> Term:
        self._note(expr)
        return expression(expr, self._element)

    def _element(self, load: Load) -> str:
        if load.buffer in self.scalars:
            return load.buffer
        return self._place(load.buffer, load.index)

    def _place(self, buffer: str, index: Index) -> str:
        """`buffer[index]`; the only element of a buffer of one is `*buffer`."""
        if self.sizes[buffer] == 1:
            return f"*{buffer}"
        row, place = self.rows.spelt(buffer, index)
        return f"{row}[{self.indices.text(place, buffer)}]"

    def _stored(self, expr: Expr) -> str:
        """A value as memory holds it: a bool is narrower there than in a register."""
        term = self._term(expr)
        narrows = not isinstance(expr, (Literal, Load)) and is_bool(expr.dtype)
        return f"({c_name(expr.dtype)}){term.operand}" if narrows else term.text

    def _note(self, expr: Expr) -> None:
        """Note the headers that an expression needs."""
        if isinstance(expr, Literal):
            self.w.need(*literal_headers(expr.value))
        elif isinstance(expr, Apply):
            self.w.need(*op_headers(OPS[expr.op], operand_dtype(expr)))
            for arg in expr.args:
                self._note(arg)
        elif isinstance(expr, Joined):
            self.w.need("gradc_lanes.h")

    def _loop(self, s: For) -> None:
        """The loop, behind what its kind tells the compiler."""
        match s.kind:
            case LoopKind.LANES:
                self.w.line("GRADC_LANES")
            case LoopKind.ROWS:
                self.w.line("GRADC_ROWS")
            case LoopKind.SERIAL:
                pass
            case _:
                assert_never(s.kind)
        start, stop = index_text(s.start), self.indices.stop(s)
        with self.w.loop(s.var.name, stop, s.nodes, step=s.var.step, first=start):
            rows = self.rows.head(s)
            for row in rows:
                self._row(row)
            self.statements(s.body)
            self.rows.close(rows)

    def _row(self, row: Row) -> None:
        """The declaration of a pointer."""
        p = self.params[row.buffer]
        const = "" if p.written else "const "
        start = self.indices.text(row.first, row.buffer)
        self.w.statement(f"{const}{c_name(p.dtype)} *const {row.name} = &{row.buffer}[{start}];")

    def _test(self, index: Index, low: int, high: int) -> list[str]:
        text, bounds = index_text(index), index.bounds
        if high == low + 1:
            return [f"{text} == {low}"]
        tests = [f"{text} >= {low}"] if low > max(bounds[0], 0) else []
        return tests + ([f"{text} < {high}"] if high <= bounds[1] else [])

    def _array(self, s: Array) -> None:
        self.sizes[s.name] = max(s.size, 2)
        size = self.indices.size(s.name, s.size)
        declared = f"{c_name(s.dtype)} {s.name}[{size}]"
        if s.start == Literal(0, s.dtype):
            self.w.line(f"{declared} = {{0}};")
            return
        self.w.line(f"{declared};")
        if isinstance(s.start, Literal):
            counter = next(x for x in "knmq" if x not in self.rows.taken)
            with self.w.loop(counter, size):
                self.w.line(f"{s.name}[{counter}] = {self._expr(s.start)};")

    def _accumulate(self, s: Accumulate) -> None:
        target = s.target
        if s.index is not None:
            target = self._place(s.target, s.index)
        value = self._term(s.expr)
        self.w.need(*op_headers(OPS[s.op], s.dtype))
        compound = OPS[s.op].compound
        if is_float(s.dtype) and compound:
            self.w.statement(f"{target} {compound} {value.text};", s.nodes)
            return
        text = apply_term(s.op, (Term(target), value), s.dtype, s.dtype).text
        if s.index is not None and is_bool(s.dtype):
            text = f"({c_name(s.dtype)})({text})"
        self.w.statement(f"{target} = {text};", s.nodes)

    def _select(self, s: Select) -> None:
        """Take a better value, or the first NaN, and never leave a NaN again."""
        value, better = self._expr(s.expr), OPS[s.op].better
        assert better is not None, f"reduction `{s.op}` looks for no place"
        test = apply_term(better, (Term(value), Term(s.value)), s.dtype, BOOL).text
        if is_float(s.dtype):
            test = f"{test} || ({value} != {value} && {s.value} == {s.value})"
        with self.w.block(f"if ({test})", s.nodes):
            self.w.line(f"{s.value} = {value};", s.nodes)
            self.w.line(f"{s.position} = (int32_t)({index_text(s.index)});", s.nodes)

    def _product(self, s: Product) -> None:
        """A line for the sums and the extents, one for each operand."""
        self.w.need("gradc_simd.h")
        verb = "add_product" if s.adds else "product"
        name = f"gradc_{verb}_f{8 * item_bytes(s.dtype)}x{s.lanes}"
        to, a, b, spelt = s.target, s.a.buffer, s.b.buffer, self.indices
        rows = spelt.extent(a, s.a_row, s.rows)
        columns, depth = spelt.extent(b, 1, s.columns), spelt.extent(b, s.b_row, s.depth)
        sums = [self._address(to, s.target_index), spelt.stride(to, s.target_row)]
        lines = [
            [*sums, rows, columns, depth],
            [self._address(a, s.a.index), spelt.stride(a, s.a_row), spelt.stride(a, s.a_column)],
            [self._address(b, s.b.index), spelt.stride(b, s.b_row)],
        ]
        self.w.line(f"{name}(", s.nodes)
        for line, end in zip(lines, (",", ",", ");"), strict=True):
            self.w.statement(f"    {', '.join(line)}{end}", s.nodes)

    def _transpose(self, s: Transpose) -> None:
        spelt, source = self.indices, s.source.buffer
        target = self._address(s.target, s.target_index)
        from_ = self._address(source, s.source.index)
        rows, columns = spelt.extent(source, s.source_row, s.rows), str(s.columns)
        strides = spelt.stride(s.target, s.target_row), spelt.stride(source, s.source_row)
        args = (target, strides[0], from_, strides[1], rows, columns)
        self.w.call("gradc_transpose", args, ";", s.nodes)

    def _address(self, buffer: str, index: Index) -> str:
        """A pointer to an element."""
        text = self.indices.text(index, buffer)
        return buffer if text == "0" else f"&{buffer}[{text}]"
