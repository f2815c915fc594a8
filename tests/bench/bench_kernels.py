"""Rows, sums and attention beside JAX: functions that are a kernel or a few, timed through Python.

Usage: python tests/bench/bench_kernels.py [--quick] [--json] [--compilers gcc,clang]
           [--cases softmax,attention,...] [--core 0]

One process, pinned to one core, calls all of them in turn, block by block: the C of every compiler
and JAX's jit, single-threaded. The best block of each counts. A time contains the call from Python:
about 2 us of gradc's and 10 of JAX's. Nothing here fails for being slow: it fails when two results
differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Loss = Callable[..., Any]


@dataclass(frozen=True)
class Library:
    """What a case is written with: the array functions, and those that are no part of NumPy's."""

    np: Any
    softmax: Callable[..., Any]
    log_softmax: Callable[..., Any]
    cross_entropy: Callable[..., Any]
    value_and_grad: Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """`make(library)` is the function to compile; `arguments(rng)` what it is called with."""

    make: Callable[[Library], Loss]
    arguments: Callable[[np.random.Generator], tuple[Array, ...]]


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[Array, ...]]:
    return lambda rng: tuple(rng.standard_normal(s).astype(np.float32) for s in shapes)


def labelled(*shape: int) -> Callable[[np.random.Generator], tuple[Array, ...]]:
    """Scores, and the class of each row of them."""

    def arguments(rng: np.random.Generator) -> tuple[Array, ...]:
        labels = rng.integers(0, shape[-1], shape[:-1]).astype(np.int32)
        return rng.standard_normal(shape).astype(np.float32), labels

    return arguments


def weighted(f: Callable[[Library], Loss]) -> Callable[[Library], Loss]:
    """Value and gradient of `f`, weighted by the last argument and summed."""
    return lambda lib: lib.value_and_grad(lambda *a: (f(lib)(*a[:-1]) * a[-1]).sum())


def softmax(lib: Library) -> Loss:
    return lambda x: lib.softmax(x, -1)


def log_softmax(lib: Library) -> Loss:
    return lambda x: lib.log_softmax(x, -1)


def cross_entropy(lib: Library) -> Loss:
    return lib.cross_entropy


def cross_entropy_gradient(lib: Library) -> Loss:
    return lib.value_and_grad(lib.cross_entropy)


def attention(lib: Library) -> Loss:
    def f(q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.swapaxes(-1, -2) * (1 / np.sqrt(q.shape[-1])).astype(np.float32)
        return lib.softmax(scores, -1) @ v

    return f


def layer_norm(lib: Library) -> Loss:
    def f(x: Any, gain: Any, bias: Any) -> Any:
        mean = x.mean(axis=-1, keepdims=True)
        centred = x - mean
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        return centred / lib.np.sqrt(variance + np.float32(1e-5)) * gain + bias

    return f


def argmax(lib: Library) -> Loss:
    return lambda x: lib.np.argmax(x, axis=-1)


def rows(*shape: int) -> tuple[tuple[int, ...], ...]:
    """Rows to normalise, a gain and a bias, and weights of the result."""
    return shape, shape[-1:], shape[-1:]


HEADS = ((8, 4, 64, 32),) * 3
CASES = {
    "softmax 512x256": Case(softmax, normal((512, 256))),
    "softmax 512x256, gradient": Case(weighted(softmax), normal((512, 256), (512, 256))),
    "log_softmax 512x256": Case(log_softmax, normal((512, 256))),
    "log_softmax 512x256, gradient": Case(weighted(log_softmax), normal((512, 256), (512, 256))),
    "cross_entropy 768x65": Case(cross_entropy, labelled(768, 65)),
    "cross_entropy 768x65, gradient": Case(cross_entropy_gradient, labelled(768, 65)),
    "cross_entropy 128x1000, gradient": Case(cross_entropy_gradient, labelled(128, 1000)),
    "cross_entropy 12x64x512": Case(cross_entropy, labelled(12, 64, 512)),
    "cross_entropy 12x64x512, gradient": Case(cross_entropy_gradient, labelled(12, 64, 512)),
    "cross_entropy 64x10, gradient": Case(cross_entropy_gradient, labelled(64, 10)),
    "attention 8x4x64x32": Case(attention, normal(*HEADS)),
    "attention 8x4x64x32, gradient": Case(weighted(attention), normal(*HEADS, HEADS[0])),
    "layer_norm 768x128": Case(layer_norm, normal(*rows(768, 128))),
    "layer_norm 768x128, gradient": Case(
        weighted(layer_norm), normal(*rows(768, 128), (768, 128))
    ),
    "layer_norm 512x256, gradient": Case(
        weighted(layer_norm), normal(*rows(512, 256), (512, 256))
    ),
    "sum of columns 4096x100": Case(lambda lib: lambda x: x.sum(0), normal((4096, 100))),
    "sum of columns 256x512": Case(lambda lib: lambda x: x.sum(0), normal((256, 512))),
    "sum of rows 768x129": Case(lambda lib: lambda x: x.sum(1), normal((768, 129))),
    "sum of rows 768x128": Case(lambda lib: lambda x: x.sum(1), normal((768, 128))),
    "sum of rows 4096x100": Case(lambda lib: lambda x: x.sum(1), normal((4096, 100))),
    "max of rows 512x256": Case(lambda lib: lambda x: x.max(1), normal((512, 256))),
    "argmax of rows 512x256": Case(argmax, normal((512, 256))),
    "sum 1000000": Case(lambda lib: lambda x: x.sum(), normal((1_000_000,))),
}  # fmt: skip


def gradc_library() -> Library:
    import gradc as gd
    from gradc import nn

    def value_and_grad(f: Loss) -> Loss:
        return gd.value_and_grad(f)

    return Library(gd, gd.softmax, gd.log_softmax, nn.cross_entropy, value_and_grad)


def jax_library() -> Library:
    import jax
    import jax.numpy as jnp

    def cross_entropy(x: Any, labels: Any) -> Any:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(x), labels[..., None], axis=-1)
        return -jnp.mean(chosen)

    return Library(
        jnp, jax.nn.softmax, jax.nn.log_softmax, cross_entropy, jax.value_and_grad
    )  # fmt: skip


def gradc_calls(case: Case, compiler: str) -> Callable[[], Any]:
    import gradc as gd

    arguments = case.arguments(np.random.default_rng(0))
    compiled = gd.compile(case.make(gradc_library()), *arguments, compiler=compiler)
    return lambda: compiled(*arguments)


def jax_calls(case: Case) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    arguments = [jnp.asarray(a) for a in case.arguments(np.random.default_rng(0))]
    compiled = jax.jit(case.make(jax_library()))
    return lambda: jax.block_until_ready(compiled(*arguments))


def check(expected: Any, found: Any, name: str) -> None:
    """The first results agree."""
    flat = [np.asarray(a, np.float64) for a in leaves(found)]
    for a, b in zip(leaves(expected), flat, strict=True):
        np.testing.assert_allclose(b, np.asarray(a, np.float64), 1e-3, 1e-3, err_msg=name)


def leaves(tree: Any) -> list[Any]:
    return [a for part in tree for a in leaves(part)] if isinstance(tree, tuple) else [tree]


def best_times(calls: dict[str, Callable[[], Any]], rounds: int, block: float) -> dict[str, float]:
    """Seconds a call, the best of `rounds` interleaved blocks of about `block` seconds."""
    counts = {}
    for who, call in calls.items():
        call()
        start = time.perf_counter()
        for _ in range(5):
            call()
        counts[who] = max(5, int(5 * block / (time.perf_counter() - start)))
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for who, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[who]):
                call()
            best[who] = min(best[who], (time.perf_counter() - start) / counts[who])
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short blocks, few rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--compilers", default="gcc,clang", help="those installed are used")
    parser.add_argument("--cases", default="", help="what the names of the cases contain")
    parser.add_argument("--core", type=int, default=0, help="the core the process is pinned to")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    compilers = [c for c in options.compilers.split(",") if shutil.which(c)]
    rounds, block = (5, 0.01) if options.quick else (200, 0.003)
    wanted = [w for w in options.cases.split(",") if w]
    found: dict[str, dict[str, float]] = {}
    if not options.json:
        heads = "".join(f"{c:>10}{f'{c}/jax':>11}" for c in compilers)
        print(f"{'microseconds':<36}{'jax':>8}{heads}")
    for name, case in CASES.items():
        if wanted and not any(w in name for w in wanted):
            continue
        calls = {"jax": jax_calls(case)} | {c: gradc_calls(case, c) for c in compilers}
        expected = calls["jax"]()
        for who in compilers:
            check(expected, calls[who](), f"{name}: {who}")
        best = found[name] = best_times(calls, rounds, block)
        if not options.json:
            ours = "".join(
                f"{best[c] * 1e6:>10.1f}{best[c] / best['jax']:>11.2f}" for c in compilers
            )
            print(f"{name:<36}{best['jax'] * 1e6:>8.1f}{ours}", flush=True)
    if options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
