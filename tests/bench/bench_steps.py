"""Whole training steps beside PyTorch and JAX, and the times a user waits: import and build.

Usage: python tests/bench/bench_steps.py [--quick] [--json] [--peers torch,jax]
           [--compilers gcc,clang] [--workloads neuron,digits,mnist,...] [--core 0]

Each framework, and gradc with each C compiler, runs in a process of its own that stays alive,
single-threaded and pinned to one core. The processes take turns, block by block, so that a slow
moment of the machine meets all of them; the best block of each counts. What is reported is the
ratio to the peer. Nothing here fails for being slow: it fails when the frameworks do not compute
the same loss.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
# Workload, how gradc is called, and the most it may take as a share of JAX's time for one step.
ASKED_OF_JAX = {
    ("neuron", "step"): 0.3,
    ("neuron", "many"): 0.05,
    ("digits", "step"): 0.5,
    ("digits", "many"): 0.4,
    ("mnist", "step"): 0.76,
    ("mnist-w", "step"): 0.93,
    ("deep", "step"): 0.5,
    ("odd", "step"): 0.85,
    ("wide", "step"): 1.0,
}
ASKED_SECONDS = {"import": 0.35, "build, cold": 3.0, "build, cached": 0.3}


@dataclass
class Row:
    """One line of the table: what was measured, in `unit`, and the most it should be (or None)."""

    what: str
    measured: float
    unit: str
    asked: float | None = None


class Worker:
    """A framework's process, of gradc with one C compiler; `time` asks it for one block."""

    def __init__(self, framework: str, core: int, compiler: str | None = None) -> None:
        self.framework = f"{framework} ({compiler})" if compiler else framework
        arguments = [framework, compiler] if compiler else [framework]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **SINGLE_THREADED},
            preexec_fn=(lambda: os.sched_setaffinity(0, {core}))
            if hasattr(os, "sched_setaffinity")
            else None,
        )

    def time(self, workload: str, mode: str, steps: int) -> tuple[float, float]:
        """Seconds for `steps` steps, and the loss of the very first step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"workload": workload, "mode": mode, "steps": steps}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the {self.framework} worker ended during {workload}")
        answer = json.loads(line)
        return answer["seconds"], answer["loss"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def best_times(
    workers: list[tuple[Worker, str]], workload: str, rounds: int, block_seconds: float
) -> dict[tuple[str, str], float]:
    """Seconds per step of every (framework, mode): the best of `rounds` interleaved blocks."""
    steps: dict[tuple[str, str], int] = {}
    losses: dict[tuple[str, str], float] = {}
    for worker, mode in workers:
        worker.time(workload, mode, 10)
        seconds, losses[worker.framework, mode] = worker.time(workload, mode, 10)
        steps[worker.framework, mode] = max(10, int(10 * block_seconds / seconds))
    expected = next(iter(losses.values()))
    for key, loss in losses.items():
        if not abs(loss - expected) <= 1e-4 * abs(expected):
            raise SystemExit(f"{workload}: first losses differ: {key} has {loss}, not {expected}")
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for worker, mode in workers:
            key = (worker.framework, mode)
            seconds, _ = worker.time(workload, mode, steps[key])
            best[key] = min(best[key], seconds / steps[key])
    return best


def step_rows(
    workloads: list[str], compilers: list[str | None], peers: list[str], core: int, rounds: int,
    block_seconds: float,
) -> list[Row]:  # fmt: skip
    """Times per step of all workloads and their ratios to the peers."""
    rows: list[Row] = []
    ours = [Worker("gradc", core, compiler) for compiler in compilers]
    others = [Worker(p, core) for p in peers]
    for workload in workloads:
        modes = [m for w, m in ASKED_OF_JAX if w == workload]
        turns = [(g, m) for g in ours for m in modes] + [(o, "step") for o in others]
        best = best_times(turns, workload, rounds, block_seconds)
        for (framework, mode), seconds in best.items():
            rows.append(Row(f"{workload}: {framework} {mode}", seconds * 1e6, "us"))
        for gradc, mode in ((g.framework, m) for g in ours for m in modes):
            for peer in peers:
                ratio = best[gradc, mode] / best[peer, "step"]
                asked = ASKED_OF_JAX[workload, mode] if peer == "jax" else None
                rows.append(Row(f"{workload}: {gradc} {mode} / {peer} step", ratio, "x", asked))
    for worker in (*ours, *others):
        worker.close()
    return rows


IMPORT = "import time; t = time.perf_counter(); import gradc; print(time.perf_counter() - t)"
IMPORT_ALL = IMPORT.replace("import gradc;", "import gradc; from gradc import nn, optim, Trainer;")
BUILD = (
    "import time, mnist; t = time.perf_counter(); mnist.step().build();"
    "print(time.perf_counter() - t)"
)


def seconds_of(code: str, **environment: str) -> float:
    """What a fresh interpreter prints for `code`, run in the examples folder."""
    env = {**os.environ, **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=EXAMPLES, env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def waiting_rows(repeats: int) -> list[Row]:
    """Import and build times, the best of `repeats` fresh interpreters."""
    times: dict[str, list[float]] = {"import": [], "import, with all a model needs": []}
    times |= {"build, cold": [], "build, cached": []}
    for _ in range(repeats):
        times["import"].append(seconds_of(IMPORT))
        times["import, with all a model needs"].append(seconds_of(IMPORT_ALL))
        with tempfile.TemporaryDirectory() as cache:
            times["build, cold"].append(seconds_of(BUILD, GRADC_CACHE_DIR=cache))
            times["build, cached"].append(seconds_of(BUILD, GRADC_CACHE_DIR=cache))
    return [Row(what, min(t), "s", ASKED_SECONDS.get(what)) for what, t in times.items()]


def table(rows: list[Row]) -> str:
    """The rows as aligned text: measured beside asked."""
    lines = [f"{'':<46}{'measured':>12}{'at most':>12}"]
    for row in rows:
        asked = "" if row.asked is None else f"{row.asked:.3g} {row.unit}"
        mark = "  exceeded" if row.asked is not None and row.measured > row.asked else ""
        lines.append(f"{row.what:<46}{f'{row.measured:.3g} {row.unit}':>12}{asked:>12}{mark}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short blocks, few rounds (for CI)")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of the table")
    parser.add_argument(
        "--peers", default="torch,jax", help="those installed of this list are used"
    )
    parser.add_argument(
        "--compilers", default="gcc,clang", help="those installed of this list are used"
    )
    every = ",".join(dict.fromkeys(w for w, _ in ASKED_OF_JAX))
    parser.add_argument("--workloads", default=every, help=f"which of {every}")
    parser.add_argument("--core", type=int, default=0, help="the core all processes are pinned to")
    options = parser.parse_args()
    asked_for = [p for p in options.peers.split(",") if p]
    peers = [p for p in asked_for if importlib.util.find_spec(p)]
    for missing in sorted(set(asked_for) - set(peers)):
        print(f"{missing} is not installed: left out", file=sys.stderr)
    compilers: list[str | None] = [c for c in options.compilers.split(",") if shutil.which(c)]
    workloads = [w for w in options.workloads.split(",") if w]
    rounds, block_seconds, repeats = (3, 0.02, 1) if options.quick else (15, 0.1, 5)
    rows = step_rows(
        workloads, compilers or [None], peers, options.core, rounds, block_seconds
    ) + waiting_rows(repeats)
    print(json.dumps([asdict(r) for r in rows], indent=1) if options.json else table(rows))


if __name__ == "__main__":
    main()
