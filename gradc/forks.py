"""Locks that a forked child finds open, whoever held them in the parent.

A child of `os.fork` has only the thread that forked. A lock that another thread held would stay
closed in it for ever, and the first call of a compiled function would hang.
"""

from __future__ import annotations

import os
import threading
import weakref

_locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """A lock that is open in a child whose parent forked while another thread held it.

    What the lock protects is in the child as it was at that moment, perhaps half changed.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def _open_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # what the standard library does


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_all)
