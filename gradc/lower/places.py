"""Where the elements of a kernel's values are while it runs: in memory, or in arrays of its own.

Enters: a tree, the homes of its values and the buffers it writes. Leaves: for an element its buffer
and offset. Always holds: positions come in two kinds and are never mixed up: along *factors*, which
loops run over, and along *dimensions*, which elements are addressed by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from ..cnames import identifier
from ..dtypes import DType, item_bytes
from ..index import Index, Indices, flatten
from ..passes.cost import STACK_BYTES
from ..passes.factors import joined, split
from ..passes.homes import Home
from ..passes.tree import Tree
from .nest import Array, Load, Param
from .pointwise import Elements

Env = Mapping[int, Index]
"""Where a place in a kernel is along every axis whose loop is open."""


class Places:
    """The memory of one kernel. `storage` names the buffers of the nodes it writes."""

    def __init__(
        self,
        elements: Elements,
        tree: Tree,
        homes: Mapping[int, Home],
        storage: Mapping[int, str],
    ) -> None:
        self.elements = elements
        self.graph = elements.graph
        self.tree = tree
        self.homes = homes
        self.storage = storage
        self.scratch: list[Param] = []
        self.arrays: list[Array] = []
        self._kept: dict[int, str] = {}

    def argument(self, node: int, env: Env) -> Indices:
        """The index of what an iteration takes in: of a fold, that of its argument."""
        return joined([env[a] for a in self.tree.all_axes(node)], self.tree.statements[node].domain)

    def result(self, node: int, env: Env) -> Indices:
        """The index of the element of a statement's result that an iteration is for."""
        positions = [env[a] for a in self.tree.result(node)]
        return joined(positions, self.tree.statements[node].factors)

    def split(self, node: int, index: Indices) -> Indices:
        """An element's position along every factor of a statement's result."""
        return split(index, self.tree.statements[node].factors)

    def within(self, node: int, factors: Sequence[int], index: Indices) -> Index:
        """An element's offset in an array over some factors of a statement's result."""
        shape, positions = self.tree.statements[node].shape, self.split(node, index)
        return flatten([positions[d] for d in factors], [shape[d] for d in factors])

    def is_kept(self, node: int) -> bool:
        """Whether the value is put anywhere, or lives in registers alone."""
        return node in self.storage or self.homes[node].kept is not None

    def element(self, node: int, index: Indices) -> tuple[str, Index]:
        """The buffer and offset of an element of a value that is kept."""
        if node in self.storage:
            return self.storage[node], flatten(index, self.graph[node].shape)
        kept = self.homes[node].kept
        assert kept is not None, f"#{node} is kept nowhere"
        if node not in self._kept:
            size = prod(self.tree.statements[node].shape[d] for d in kept)
            dtype = self.graph[node].dtype
            name, on_stack = self.array(f"{self.elements.label(node)}_row", dtype, size)
            self._kept[node] = name
            if on_stack:
                self.arrays.append(Array(name, dtype, size))
        return self._kept[node], self.within(node, kept, index)

    def array(self, name: str, dtype: DType, size: int) -> tuple[str, bool]:
        """A new local array; large ones become scratch in the arena. True if it is on the stack."""
        name = self.elements.names.fresh(identifier(name))
        if size * item_bytes(dtype) <= STACK_BYTES:
            return name, True
        self.scratch.append(Param(name, dtype, size, (size,), written=True))
        return name, False

    def read_back(self, node: int) -> None:
        """From now on a value is read where it is kept, instead of computed."""
        dtype = self.graph[node].dtype

        def read(index: Indices) -> Load:
            return Load(*self.element(node, index), dtype)

        self.elements.local[node] = read
