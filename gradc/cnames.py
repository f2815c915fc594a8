"""Identifiers of the generated C: made of any text, and each given once.

Enters: what users and ops are called. Leaves: identifiers. Always holds: an identifier is a word
of letters, digits and single underscores that no digit begins; `Names` gives none twice in scopes
that are open at the same time, and none that is reserved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


@cache
def identifier(text: str) -> str:
    """`text` as the body of a C identifier."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    name = re.sub(r"__+", "_", name)
    return f"v_{name}" if not name or name[0].isdigit() else name


class Names:
    """Hands out identifiers, none of which is in use in a scope that is still open."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self._reserved = reserved
        self._taken = set(reserved)

    def fresh(self, base: str) -> str:
        if base in self._reserved:
            base = f"{base}_value"
        name, count = base, 2
        while name in self._taken:
            name, count = f"{base}_{count}", count + 1
        self._taken.add(name)
        return name

    def release(self, names: Iterable[str]) -> None:
        """These names may be used again."""
        self._taken.difference_update(name for name in names if name not in self._reserved)
