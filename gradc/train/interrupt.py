"""Ctrl-C during training: the step that runs is finished first.

Enters: SIGINT. Leaves: a flag. Always holds: a second Ctrl-C interrupts at once, and the handler
of before is back when training ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """A context manager; `asked` turns true when the user presses Ctrl-C inside of it.

    Where Python does not deliver signals (another thread), or the program has a handler of its
    own, nothing is changed and `asked` stays false.
    """

    def __init__(self) -> None:
        self.asked = False
        self.installed = False

    def __enter__(self) -> Interrupt:
        own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if own and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._ask)
            self.installed = True
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: object) -> None:
        if self.installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def ctrl_c_interrupts() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt, although the process was started with it ignored.

    So does a shell without job control for `command &`, and whatever starts jobs in the background;
    a command that is meant to be interrupted listens all the same. A program's own handler stays.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
