"""The one traversal of the loop-nest IR, which all analyses and passes stand on.

Enters: statements. Leaves: what lies within them, the elements they read and write, the names they
declare, change and use; or the same statements made of other parts (`Rewrite`). Always holds: a
class of statements or expressions that is not known here raises; nothing is ever taken to touch
nothing because nobody thought of it.

What is said of a statement is said of the statement itself; what it has within are its `blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar, assert_never

from ..index import Dyn, Index, Var, at, replace_vars
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
    Let,
    Literal,
    Load,
    Position,
    Product,
    Ref,
    Select,
    Simple,
    Stmt,
    Store,
    Transpose,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Statements within another, run for all values of `variables`."""

    variables: tuple[Var, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Access:
    """The elements of a buffer or local array at `index`, for all values of `over`: variables that
    exist in the statement alone.
    """

    buffer: str
    index: Index
    over: tuple[Var, ...] = ()


def blocks(s: Stmt) -> tuple[Block, ...]:
    """What a statement has within it."""
    match s:
        case Let() | Declare() | Array() | Position() | Assign() | Store() | Accumulate():
            return ()
        case For():
            return (Block((s.var,), s.body),)
        case If():
            return (Block((), s.body),)
        case Select() | Copy() | Transpose() | Product():
            return ()
        case _:
            assert_never(s)


def walk(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """Every statement, each before those within it."""
    for s in body:
        yield s
        for block in blocks(s):
            yield from walk(block.body)


# What a statement touches ----------------------------------------------------------------------


def expressions(s: Stmt) -> tuple[Expr, ...]:
    """What a statement evaluates, in order; those of a product and a transposition many times."""
    match s:
        case Let() | Position() | Assign() | Store() | Accumulate() | Select():
            return (s.expr,)
        case Declare():
            return (s.start,)
        case Array():
            return () if s.start is None else (s.start,)
        case Transpose():
            return (s.source,)
        case Product():
            return (s.a, s.b)
        case If() | For() | Copy():
            return ()
        case _:
            assert_never(s)


def indices(s: Stmt) -> Iterator[Index]:
    """The indices that a statement computes: those of elements, of tests, and where loops end."""
    yield from (a.index for a in (*loads(s), *stores(s)))
    for e in expressions(s):
        yield from (part.index for part in parts(e) if isinstance(part, FromIndex))
    match s:
        case For():
            yield from (s.start, s.stop)
        case If():
            yield from (index for index, _, _ in s.tests)
        case Select():
            yield s.index
        case _:
            return


def loads(s: Stmt) -> Iterator[Access]:
    """The elements that a statement reads."""
    match s:
        case Copy():
            k = Var("k", s.size)
            yield Access(s.source, at(k), (k,))
        case Transpose():
            r, c = _sides(s)
            yield Access(s.source.buffer, s.source.index + at(r) * s.source_row + at(c), (r, c))
        case Product():
            p, r, c = Var("p", s.depth), Var("r", s.rows), Var("c", s.columns)
            a = s.a.index + at(p) * s.a_column + at(r) * s.a_row
            yield Access(s.a.buffer, a, (p, r))
            yield Access(s.b.buffer, s.b.index + at(p) * s.b_row + at(c), (p, c))
            if s.adds:
                yield from stores(s)
        case _:
            if isinstance(s, Accumulate):
                yield from stores(s)
            for e in expressions(s):
                yield from _elements(e)


def stores(s: Stmt) -> Iterator[Access]:
    """The elements that a statement writes; a local variable is none (see `changed`)."""
    match s:
        case Let() | Array() | Declare() | Position() | Assign() | Select() | If() | For():
            return
        case Store():
            yield Access(s.buffer, s.index)
        case Accumulate():
            if s.index is not None:
                yield Access(s.target, s.index)
        case Copy():
            k = Var("k", s.size)
            yield Access(s.target, at(k), (k,))
        case Transpose():
            r, c = _sides(s)
            yield Access(s.target, s.target_index + at(c) * s.target_row + at(r), (r, c))
        case Product():
            r, c = Var("r", s.rows), Var("c", s.columns)
            yield Access(s.target, s.target_index + at(r) * s.target_row + at(c), (r, c))
        case _:
            assert_never(s)


def _sides(s: Transpose) -> tuple[Var, Var]:
    return Var("r", s.rows), Var("c", s.columns)


def _elements(e: Expr) -> Iterator[Access]:
    """The elements of memory that an expression is made of."""
    for part in parts(e):
        if isinstance(part, Load):
            yield Access(part.buffer, part.index)
        elif isinstance(part, Joined):
            index, lane = part.elements
            yield Access(part.array, index, (lane,))


def parts(e: Expr) -> list[Expr]:
    """An expression, and those that it is made of."""
    found = [e]
    for part in found:  # which grows on the way
        match part:
            case Apply():
                found += part.args
            case Load() | Ref() | Literal() | FromIndex() | Joined():
                pass
            case _:
                assert_never(part)
    return found


def declared(s: Stmt) -> str | None:
    """The name that a statement brings into its scope."""
    match s:
        case Let() | Declare() | Array() | Position():
            return s.name
        case Assign() | Store() | Accumulate() | Select() | If() | For():
            return None
        case Copy() | Transpose() | Product():
            return None
        case _:
            assert_never(s)


def changed(s: Stmt) -> tuple[str, ...]:
    """The local variables to which a statement gives another value."""
    match s:
        case Assign():
            return (s.name,)
        case Accumulate():
            return (s.target,) if s.index is None else ()
        case Select():
            return (s.value, s.position)
        case Let() | Declare() | Array() | Position() | Store() | If() | For():
            return ()
        case Copy() | Transpose() | Product():
            return ()
        case _:
            assert_never(s)


def used(s: Stmt) -> Iterator[str]:
    """The names of values, places, buffers and arrays whose present content a statement needs."""
    for e in expressions(s):
        yield from (part.name for part in parts(e) if isinstance(part, Ref))
    if isinstance(s, (Accumulate, Select)):
        yield from changed(s)
    yield from (a.buffer for a in loads(s))
    for index in indices(s):
        yield from (place.name for place in index.places)


def names_in(e: Expr) -> Iterator[str]:
    """The names of values, buffers and arrays in an expression."""
    for part in parts(e):
        if isinstance(part, Ref):
            yield part.name
        elif isinstance(part, Load):
            yield part.buffer
        elif isinstance(part, Joined):
            yield part.array


# The same statements of other parts ------------------------------------------------------------


def _with(old: T, **parts: object) -> T:
    """The same with other parts: `dataclasses.replace`, at a third of its time."""
    new = object.__new__(type(old))
    new.__dict__.update(old.__dict__)
    new.__dict__.update(parts)
    return new


class Rewrite:
    """Rebuilds statements part by part; a subclass says what becomes of which part.

    Of one statement, what it evaluates comes before the name that it declares.
    """

    def name(self, name: str) -> str:
        """A value, buffer or array that is read, changed or written."""
        return name

    def declare(self, name: str) -> str:
        """A value or array that begins here."""
        return self.name(name)

    def var(self, var: Var) -> Var:
        """A loop variable that begins here."""
        return var

    def index(self, index: Index) -> Index:
        return replace_vars(index, {}, self.place) if index.places else index

    def place(self, place: Dyn) -> Dyn:
        """A `Position` in an index."""
        return Dyn(self.name(place.name), place.extent, place.over)

    def nodes(self, nodes: tuple[int, ...]) -> tuple[int, ...]:
        return nodes

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """The statements of one scope."""
        return tuple([self.statement(s) for s in body])

    def simple(self, e: Simple) -> Simple:
        match e:
            case Ref():
                return _with(e, name=self.name(e.name))
            case Literal():
                return e
            case _:
                assert_never(e)

    def load(self, e: Load) -> Load:
        return _with(e, buffer=self.name(e.buffer), index=self.index(e.index))

    def expr(self, e: Expr) -> Expr:
        match e:
            case Ref() | Literal():
                return self.simple(e)
            case Load():
                return self.load(e)
            case Apply():
                return _with(e, args=tuple([self.expr(a) for a in e.args]))
            case FromIndex():
                return _with(e, index=self.index(e.index))
            case Joined():
                return _with(e, array=self.name(e.array))
            case _:
                assert_never(e)

    def statement(self, s: Stmt) -> Stmt:
        match s:
            case Let():
                expr, nodes = self.expr(s.expr), self.nodes(s.nodes)
                return _with(s, name=self.declare(s.name), expr=expr, nodes=nodes)
            case Declare():
                start, nodes = self.expr(s.start), self.nodes(s.nodes)
                return _with(s, name=self.declare(s.name), start=start, nodes=nodes)
            case Position():
                value, nodes = self.simple(s.expr), self.nodes(s.nodes)
                return _with(s, name=self.declare(s.name), expr=value, nodes=nodes)
            case Array():
                begin = None if s.start is None else self.expr(s.start)
                return _with(s, name=self.declare(s.name), start=begin)
            case Assign():
                expr, nodes = self.expr(s.expr), self.nodes(s.nodes)
                return _with(s, name=self.name(s.name), expr=expr, nodes=nodes)
            case Store():
                buffer, index = self.name(s.buffer), self.index(s.index)
                expr, nodes = self.expr(s.expr), self.nodes(s.nodes)
                return _with(s, buffer=buffer, index=index, expr=expr, nodes=nodes)
            case Accumulate():
                where = None if s.index is None else self.index(s.index)
                target, expr, nodes = self.name(s.target), self.expr(s.expr), self.nodes(s.nodes)
                return _with(s, target=target, index=where, expr=expr, nodes=nodes)
            case Select():
                best, position = self.name(s.value), self.name(s.position)
                value, index, nodes = self.simple(s.expr), self.index(s.index), self.nodes(s.nodes)
                return _with(s, value=best, position=position, expr=value, index=index, nodes=nodes)
            case If():
                tests = tuple([(self.index(i), low, high) for i, low, high in s.tests])
                return _with(s, tests=tests, body=self.body(s.body))
            case For():
                low = None if s.low is None else self.index(s.low)
                high = None if s.high is None else self.index(s.high)
                var, nodes = self.var(s.var), self.nodes(s.nodes)
                return _with(s, low=low, high=high, var=var, body=self.body(s.body), nodes=nodes)
            case Copy():
                target, base, nodes = self.name(s.target), self.name(s.source), self.nodes(s.nodes)
                return _with(s, target=target, source=base, nodes=nodes)
            case Transpose():
                target, index = self.name(s.target), self.index(s.target_index)
                source, nodes = self.load(s.source), self.nodes(s.nodes)
                return _with(s, target=target, target_index=index, source=source, nodes=nodes)
            case Product():
                target, index = self.name(s.target), self.index(s.target_index)
                a, b, nodes = self.load(s.a), self.load(s.b), self.nodes(s.nodes)
                return _with(s, target=target, target_index=index, a=a, b=b, nodes=nodes)
            case _:
                assert_never(s)


class _Indices(Rewrite):
    def __init__(self, f: Callable[[Index], Index]) -> None:
        self.f = f

    def index(self, index: Index) -> Index:
        return self.f(index)


def map_indices(body: tuple[Stmt, ...], f: Callable[[Index], Index]) -> tuple[Stmt, ...]:
    """The statements with `f` of each index in place of the index."""
    return _Indices(f).body(body)
