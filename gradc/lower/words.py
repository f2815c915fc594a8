"""What the values within a kernel are called: names first, then roles, then nouns.

Enters: a kernel, whose values are called anyhow, and the graph that it computes a part of. Leaves:
the kernel with its last names, and the graph nodes that they stand for. Always holds: within a
function a name is used for one value; none is a word of C or of its library; a number is put to a
name only where all words for a value are taken.

The first of these that is free: the user's name for the value; the buffer it is stored to; its
role (`row_max`, `loss_sum`, `new_weight`); the element it is (`y_i`); the noun of its op, by itself
or of what it is made (`product`, `fc2_difference`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ..cnames import identifier
from ..dtypes import F64
from ..graph import Graph, Node
from ..index import Dyn, Index, Var, at, replace_vars
from ..ops.table import OPS, Kind
from .nest import (
    Accumulate,
    Apply,
    Array,
    Declare,
    Expr,
    For,
    Joined,
    Kernel,
    Let,
    Load,
    Ref,
    Select,
    Stmt,
    Store,
)
from .reserved import LOCALS, OWN
from .traverse import Rewrite, changed, declared, loads, stores, walk

LONGEST = 28
LETTERS = "ijklmnpqst"
LANE = "lane"
Values = Mapping[int, str]


def named(kernel: Kernel, graph: Graph, values: Values) -> tuple[Kernel, Values]:
    """The kernel in words, and what it calls the nodes it computes.

    `values` are the names of the nodes in its parameters.
    """
    taken = {p.name for p in (*kernel.params, *kernel.scratch)}
    users = {identifier(graph[i].name or "") for i in kernel.nodes if i in graph.nodes}
    apart = replace(kernel, body=_Apart(taken | users).body(kernel.body))
    found = _Evidence(apart, graph)
    taken |= {s.var.name for s in walk(apart.body) if isinstance(s, For)}
    words = _Words(_Candidates(found, graph, values), LOCALS | taken)
    return replace(kernel, body=words.body(apart.body)), words.results


class _Renaming(Rewrite):
    """Every declaration is given another name."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}

    def name(self, name: str) -> str:
        return self.now.get(name, name)

    def index(self, index: Index) -> Index:
        return replace_vars(index, {}, self.place) if index.places else index

    def place(self, place: Dyn) -> Dyn:
        return replace(place, name=self.name(place.name))


class _Apart(_Renaming):
    """No two declarations have one name; loops are counted by letters that are not `taken`."""

    def __init__(self, taken: Collection[str]) -> None:
        super().__init__()
        self.count = 0
        self.taken = {*taken, *(LOCALS - OWN)}
        self.letters: dict[Var, Index] = {}

    def statement(self, s: Stmt) -> Stmt:
        if not isinstance(s, For):
            return super().statement(s)
        name = s.var.name
        if name in self.taken or (len(name) > 1 and name != LANE):
            name = next((x for x in LETTERS if x not in self.taken), name)
        self.taken.add(name)
        self.letters[s.var] = Index(((replace(s.var, name=name), 1),))
        found = super().statement(s)
        self.taken.remove(name)
        return found

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        outside = dict(self.now)  # behind the block its names are again what they were
        found = super().body(body)
        self.now = outside
        return found

    def var(self, var: Var) -> Var:
        return next(iter(self.letters[var].vars))

    def index(self, index: Index) -> Index:
        return replace_vars(index, self.letters, self.place)

    def place(self, place: Dyn) -> Dyn:
        over = (self.letters.get(v, at(v)).vars for v in place.over)
        return Dyn(self.name(place.name), place.extent, frozenset().union(*over))

    def declare(self, name: str) -> str:
        self.count += 1
        self.now[name] = f"{name} {self.count}"
        return self.now[name]


@dataclass
class _Local:
    """What is known of a declaration: the node it serves, who changes it, where it is stored."""

    statement: Stmt
    node: int | None
    steps: list[Stmt] = field(default_factory=list)
    stored: Store | None = None


class _Evidence:
    """What the statements of a kernel say of its locals."""

    def __init__(self, kernel: Kernel, graph: Graph) -> None:
        self.graph = graph
        self.params = {p.name for p in (*kernel.params, *kernel.scratch)}
        self.locals: dict[str, _Local] = {}
        self.read: set[str] = set()
        self.wide: set[int] = set()  # the nodes that are added up in double
        for s in walk(kernel.body):
            self._take(s)

    def _take(self, s: Stmt) -> None:
        name = declared(s)
        nodes = tuple(i for i in getattr(s, "nodes", ()) if i in self.graph.nodes)
        if name is not None:
            self.locals[name] = _Local(s, nodes[0] if nodes else None)
        for target in (*changed(s), *(a.buffer for a in stores(s))):
            local = self.locals.get(target)
            if local is not None:
                local.steps.append(s)
                if local.node is None and nodes:
                    local.node = nodes[0]
                if isinstance(s, Accumulate) and s.dtype == F64 and nodes:
                    self.wide.add(nodes[0])
        if isinstance(s, Store) and isinstance(s.expr, Ref) and s.buffer in self.params:
            local = self.locals.get(s.expr.name)
            if local is not None and local.stored is None:
                local.stored = s
        self.read.update(a.buffer for a in loads(s))


class _Candidates:
    """The words for a declaration, best first."""

    def __init__(self, evidence: _Evidence, graph: Graph, values: Values) -> None:
        self.evidence = evidence
        self.graph = graph
        self.values = values

    def of(self, local: _Local, buffers: Mapping[str, str], depth: int) -> Iterator[str]:
        """`buffers` are the words of what is declared already; `depth` loops are around."""
        s = local.statement
        node = None if local.node is None else self.graph[local.node]
        if isinstance(s, Let) and isinstance(s.expr, Load):
            buffer = buffers.get(s.expr.buffer, s.expr.buffer)
            if node is not None and node.kind is Kind.CONTRACTION:  # out of a tile
                yield from self._result(node, local)
                yield "sum"
            yield from _elements(buffer, s.expr.index)
        elif isinstance(s, Let):
            yield from self._value(s.expr, node, local, buffers)
        elif isinstance(s, Declare) and node is not None:
            yield from self._scalar(s, node, local, depth)
        elif isinstance(s, Array) and node is not None:
            yield from self._array(s, node, local, depth)

    def _result(self, node: Node, local: _Local) -> Iterator[str]:
        """The names that the user's code or what is stored gives to a node's value."""
        yield from self._given(node)
        if local.stored is not None:
            if local.stored.buffer in self.evidence.read:
                yield f"new_{local.stored.buffer}"
            yield from _elements(local.stored.buffer, local.stored.index)

    def _given(self, node: Node) -> Iterator[str]:
        if node.name:
            yield identifier(node.name)

    def _value(
        self, e: Expr, node: Node | None, local: _Local, buffers: Mapping[str, str]
    ) -> Iterator[str]:
        if isinstance(e, Joined) and node is not None:
            yield from self._given(node)
            yield from self._roles(node, 1)
        if not isinstance(e, Apply):
            yield "position"
            return
        own = node is not None and node.op == e.op
        folded = node is not None and node.kind in (Kind.REDUCTION, Kind.CONTRACTION)
        if own or (folded and e.dtype == getattr(node, "dtype", None)):
            assert node is not None
            yield from self._result(node, local)
            if folded:
                yield from self._roles(node, 0)
        word, operands = OPS[e.op].noun, list(dict.fromkeys(_operands(e, buffers)))
        if own and node is not None:
            readers = (self.graph[i].op for i in self.graph.users[node.id])
            yield from (w for op in readers if (w := OPS[e.op].read_by.get(op)))
        if word:
            yield word
        for operand in operands:
            yield from _joined(operand, word) if word else _joined(e.op, operand)
        for first, second in pairwise(operands):
            yield from _joined(f"{first}_{second}", word or e.op)
        yield f"{word or e.op}_value"

    def _roles(self, node: Node, depth: int) -> Iterator[str]:
        """What a fold of the graph is: of a row, of a result, of an operand."""
        word = noun(node)
        if node.kind is Kind.CONTRACTION:
            yield "sum"
            return
        if node.size > 1 or depth:
            yield f"row_{word}"
        made = self._made_of(node)
        yield from _joined(made, word)
        argument = self.graph[node.args[0]]
        while OPS[argument.op].marker or argument.kind is Kind.MOVEMENT:
            argument = self.graph[argument.args[0]]
        operand = self.values.get(argument.id) or identifier(argument.name or noun(argument))
        yield from _joined(operand, word)
        yield word

    def _made_of(self, node: Node) -> str:
        """The parameter that is made of a node's value alone."""
        at = node.id
        while at not in self.values:
            users = self.graph.users[at]
            if len(users) != 1 or self.graph[users[0]].kind is not Kind.ELEMENTWISE:
                return ""
            at = users[0]
        return self.values[at]

    def _scalar(self, s: Declare, node: Node, local: _Local, depth: int) -> Iterator[str]:
        step = local.steps[0] if local.steps else None
        if isinstance(step, Select):
            best = identifier(node.name or noun(node))
            yield best if s.name == step.position else f"{best}_value"
        elif isinstance(step, Accumulate):
            words = [*self._given(node), *self._roles(node, depth), *self._result(node, local)]
            if node.id in self.evidence.wide:
                words = [f"total_{w}" if s.dtype == F64 else f"block_{w}" for w in words]
            yield from words
        else:
            yield from self._result(node, local)
            yield noun(node)

    def _array(self, s: Array, node: Node, local: _Local, depth: int) -> Iterator[str]:
        step = local.steps[0]
        if isinstance(step, Accumulate):
            words = [*self._given(node), *self._roles(node, depth), *self._result(node, local)]
            lanes = node.size != s.size
            if node.id in self.evidence.wide:
                words = [f"total_{w}" if s.dtype == F64 else f"block_{w}" for w in words]
            yield from (f"{w}_lanes" if lanes else w for w in words)
        elif isinstance(step, Store):
            word = identifier(node.name or noun(node))
            yield f"{word}_row"
            for a in node.args:
                yield f"{identifier(self.graph[a].name or noun(self.graph[a]))}_{word}_row"


def noun(node: Node) -> str:
    """What a value without a name of its own is called."""
    return OPS[node.op].noun or node.op


def _elements(buffer: str, index: Index) -> Iterator[str]:
    letters = [atom.name for atom, _ in index.terms if isinstance(atom, Var)]
    if index.affine and not index.const and 0 < len(letters) <= 2 and len("".join(letters)) <= 2:
        yield f"{buffer}_{''.join(letters)}"
    yield f"{buffer}_at"


def _operands(e: Expr, names: Mapping[str, str]) -> Iterator[str]:
    """The words for what an expression is made of."""
    match e:
        case Ref():
            yield names.get(e.name, e.name)
        case Load():
            yield names.get(e.buffer, e.buffer)
        case Apply():
            for a in e.args:
                yield from _operands(a, names)
        case _:
            return


def _joined(first: str, second: str) -> Iterator[str]:
    if first and second and len(first) + len(second) < LONGEST:
        yield f"{first}_{second}"


class _Words(_Renaming):
    """Gives each declaration the first of its words that is free."""

    def __init__(self, candidates: _Candidates, reserved: Iterable[str]) -> None:
        super().__init__()
        self.candidates = candidates
        self.reserved = frozenset(reserved)
        self.owner: dict[str, object] = {}
        self.open: list[set[str]] = []
        self.depth = 0
        self.results: dict[int, str] = {}

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        self.open.append(set())
        found = super().body(body)
        self.open.pop()
        return found

    def statement(self, s: Stmt) -> Stmt:
        inside = isinstance(s, For)
        self.depth += inside
        found = super().statement(s)
        self.depth -= inside
        return found

    def declare(self, name: str) -> str:
        local = self.candidates.evidence.locals[name]
        words = list(self.candidates.of(local, self.now, self.depth)) or [name.partition(" ")[0]]
        words = [w.lower() if w.isupper() else w for w in words]  # extents are in capitals
        known = None if isinstance(local.statement, Array) and len(words) == 1 else local.node
        kind = type(local.statement), known, words[0]
        word = next((w for w in words if self._is_free(w, kind)), None) or self._numbered(
            words[-1], kind
        )
        self.owner[word] = kind
        self.open[-1].add(word)
        self.now[name] = word
        self._note(local, word)
        return word

    def _is_free(self, word: str, kind: object) -> bool:
        if word in self.reserved or self.owner.get(word, kind) != kind:
            return False
        return not any(word in scope for scope in self.open)

    def _numbered(self, word: str, kind: object) -> str:
        count = 2
        while not self._is_free(f"{word}_{count}", kind):
            count += 1
        return f"{word}_{count}"

    def _note(self, local: _Local, word: str) -> None:
        """Remember a name that stands for a node's value."""
        if local.node is None:
            return
        node, s = self.candidates.graph[local.node], local.statement
        match s:
            case Let(expr=Load()):
                stands = node.kind is Kind.CONTRACTION
            case Let():
                stands = s.expr.dtype == node.dtype
            case Declare():
                stands = s.dtype == node.dtype and node.id not in self.candidates.evidence.wide
            case Array():
                stands = s.dtype == node.dtype and s.size == node.size
            case _:
                stands = False
        if stands:
            self.results[local.node] = word
