"""What a module says of its names: which there are, and what to do about one that there is not.

Enters: the public names of a module, in groups. Leaves: an `AttributeError` that lists them. Always
holds: a name is suggested only where it is near, or where NumPy calls the same function so.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType

NEAR = 0.82
"""How alike two names must be (difflib's ratio) for one to be suggested for the other."""
WIDTH = 88


def unknown_name(
    module: str, name: str, groups: Mapping[str, Sequence[str]], same: str | None = None
) -> AttributeError:
    """The exception (made, not raised) for a name that `module` does not have.

    `groups` holds the public names under a title each; `same` is the name here of what is asked for
    by another library's name.
    """
    known = [n for names in groups.values() for n in names]
    near = [same] if same else nearest(name, known)
    lines = [f"module `{module}` has no attribute `{name}`" + "".join(f"; use `{n}`" for n in near)]
    width = max(map(len, groups), default=0)
    for title, names in groups.items():
        lines += textwrap.wrap(
            " ".join(names),
            WIDTH,
            initial_indent=f"  {title:<{width}}  ",
            subsequent_indent=" " * (width + 4),
            break_on_hyphens=False,
        )
    return AttributeError("\n".join(lines))


def grouped(
    names: Sequence[str], parts: Mapping[str, Sequence[ModuleType]]
) -> dict[str, list[str]]:
    """The names of a package, each under the title of the first of its modules that has it."""
    groups: dict[str, list[str]] = {title: [] for title in parts}
    for name in names:
        title = next(t for t, modules in parts.items() if any(name in vars(m) for m in modules))
        groups[title].append(name)
    return groups


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The one name that is near, if one is; letters' case is no difference."""
    by_case = {n.lower(): n for n in known}
    found = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=NEAR)
    return [by_case[n] for n in found]
