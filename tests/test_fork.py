"""A process forked while another thread is at work: it does not hang.

Each script forks at the worst moment and lets the child do what would wait for a lock of the thread
that it does not have. It runs in a process of its own, under a time limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

LIMIT = 120  # seconds: only a script that hangs takes so long

FORK = """
import os, signal, sys, threading, time
import numpy as np
import gradc as gd
from gradc import optim

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # so that one that hangs does not stay for ever
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def make(**options):
    def loss(w, x):
        return ((x @ w) ** 2).mean()
    return gd.train_step(
        loss, np.ones(64, np.float32), optim.SGD(lr=1e-3), gd.f32[32, 64], name="forked", **options)

x = np.ones((32, 64), np.float32)
"""

IN_A_CALL = """
step = make()
step(x)
order = np.zeros((200_000, 32), np.int64)
busy = threading.Thread(target=step.many, args=((x,), order), daemon=True)
before = int(step.state["step"])
busy.start()
while int(step.state["step"]) == before:  # the thread is in the C, and holds the state's lock
    pass
print(in_child(lambda: np.isfinite(step(x)) and np.isfinite(step.evaluate(x))))
busy.join()
print(in_child(lambda: np.isfinite(step(x))))
"""

IN_A_BUILD = """
from pathlib import Path
compiler = Path(sys.argv[1], "slow")
compiler.write_text("#!/bin/sh\\ncase $* in *' -c '*) sleep 1;; esac\\nexec cc \\"$@\\"\\n")
compiler.chmod(0o700)
step = make(compiler=str(compiler), cache_dir=sys.argv[1] + "/cache")
busy = threading.Thread(target=step.build)
busy.start()
while not list(Path(sys.argv[1]).glob("cache/*.partial")):  # the locks of step and cache are held
    time.sleep(0.01)
print(in_child(lambda: np.isfinite(step(x))))
busy.join()
print(0 if np.isfinite(step(x)) else 1)
"""

# The compiler is running, and the ends of its pipe are still open in this process: a copy in the
# child would make the build wait for the child, which waits for the build.
IN_A_START = """
import subprocess
start, started = subprocess._fork_exec, threading.Event()
def slow_start(*arguments):
    process = start(*arguments)
    started.set()
    time.sleep(0.5)
    return process
subprocess._fork_exec = slow_start
step = make(cache_dir=sys.argv[1] + "/cache")
busy = threading.Thread(target=step.build)
busy.start()
started.wait()
print(in_child(lambda: np.isfinite(step(x))))
busy.join()
print(0 if np.isfinite(step(x)) else 1)
"""


@pytest.mark.parametrize(
    "script", [IN_A_CALL, IN_A_BUILD, IN_A_START], ids=["in a call", "in a build", "in a start"]
)
def test_a_child_does_not_wait_for_a_thread_it_does_not_have(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK + script, str(tmp_path)],
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "0"], done.stderr
