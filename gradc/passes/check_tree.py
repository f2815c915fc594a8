"""What must hold of every loop tree, found out anew from its loops alone.

Enters: a tree, what it stores and where its values live. Leaves: nothing, or `AssertionError` with
the statement that is wrong. Always holds: this knows nothing of how trees are arranged or homes are
found, and trusts only the maps of reads and the axes of dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .homes import Home
from .statements import Read, Role
from .tree import Item, Loop, Path, TileLoop, Tree, axes_of


def check_tree(tree: Tree, stored: frozenset[int], places: Mapping[int, Home]) -> None:
    """Raise `AssertionError` unless every statement is computed once, after all that it reads."""
    checker = _Checker(tree, stored, places)
    checker.visit(tree.items, ())
    missing = set(tree.statements) - set(checker.seen)
    assert not missing, f"{sorted(missing)} are not computed"
    assert stored <= set(checker.seen), "something is stored that is not computed"


class _Checker:
    def __init__(self, tree: Tree, stored: frozenset[int], places: Mapping[int, Home]) -> None:
        self.tree, self.stored, self.places = tree, stored, places
        self.seen: dict[int, Path] = {}

    def visit(self, items: Sequence[Item], path: Path) -> None:
        for item in items:
            if isinstance(item, Loop):
                self.visit(item.body, (*path, item))
            elif isinstance(item, TileLoop):
                for n in item.nodes:
                    self._statement(n, (*path, item))
            else:
                self._statement(item.node, path)

    def _statement(self, node: int, path: Path) -> None:
        tree, s = self.tree, self.tree.statements[node]
        assert node not in self.seen, f"#{node} is computed twice"
        opened = [a for loop in path for a in axes_of(loop)]
        own = set(tree.all_axes(node))
        if s.role is Role.CONTRACT:
            own -= tree.folded(node)
        assert len(opened) == len(set(opened)), f"a loop around #{node} is opened twice"
        assert set(opened) == own, f"#{node} does not lie in loops over its own axes"
        for read in s.reads:
            if read.source in tree.statements:
                self._read(node, path, read)
        self.seen[node] = path

    def _read(self, node: int, path: Path, read: Read) -> None:
        tree, source = self.tree, read.source
        assert source in self.seen, f"#{node} reads #{source} before it is computed"
        around = [
            loop for loop, other in zip(path, self.seen[source], strict=False) if loop is other
        ]
        position = {axis: d for d, axis in enumerate(tree.result(source))}
        for loop in around:
            for axis in axes_of(loop):
                assert axis not in tree.folded(source), (
                    f"#{node} reads #{source} while it is folded"
                )
                assert axis in position, f"#{node} shares a loop that #{source} does not have"
                k = read.map[position[axis]]
                same = k is not None and tree.axis_of[node, k] == axis
                assert same, f"#{node} reads #{source} in another iteration"
        self._found(node, read, len(around))

    def _found(self, node: int, read: Read, around: int) -> None:
        """Whether a reader that shares `around` loops with its source finds the value."""
        tree, source, home = self.tree, read.source, self.places[read.source]
        reader = tree.statements[node]
        in_array = source in self.stored or home.kept is not None
        if reader.role is Role.CONTRACT:
            assert in_array, f"the operand #{source} of #{node} is in no array"
        if not in_array:
            assert around >= home.depth, f"#{node} cannot reach the register of #{source}"
        if home.kept is not None:
            fixed = {a for loop in self.seen[source][:around] for a in axes_of(loop)}
            lost = [a for d, a in enumerate(tree.result(source)) if d not in home.kept]
            assert set(lost) <= fixed, f"the array of #{source} lacks an axis that #{node} needs"
