"""What keeps a forked child from waiting for what only its parent can do.

A child of `os.fork` has only the thread that forked. A lock that another thread held would stay
closed in it for ever, and the first call of a compiled function would hang. And it has a copy of
every open file: of the end of a pipe, too, that a thread was about to close because what it starts
shall be the last to hold it. That thread would then wait for the child.
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from collections.abc import Sequence
from typing import Any

_locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """A lock that is open in a child whose parent forked while another thread held it.

    What the lock protects is in the child as it was at that moment, perhaps half changed.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


# Of one thread: the handler of a signal may fork in the midst of a start.
_starting = threading.RLock()


def start_process(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """`subprocess.Popen(command, **options)`, during which no other thread forks."""
    with _starting:
        return subprocess.Popen(command, **options)


def _in_child() -> None:
    _starting.release()
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # what the standard library does


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_in_child
    )
