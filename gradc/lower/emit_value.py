"""Values in a loop tree: an element is computed, and put where others read it.

Enters: a statement and where it is along every axis. Leaves: a store, or nothing. Always holds: a
value that needs no place is computed where it is read, once a scope.
"""

from __future__ import annotations

from .nest import Store
from .places import Env, Places
from .pointwise import Body


def emit_value(places: Places, node: int, env: Env, body: Body) -> None:
    """One iteration of a value, or of the sums of a contraction."""
    if not places.is_kept(node):
        return
    index = places.result(node, env)
    value = places.elements.value(node, index, body)
    body.statements.append(Store(*places.element(node, index), value, (node,)))
