"""Problems for the memory planner, known and random: what its tests share.

`instance` reads a set of buffers from tests/data/memory; `Program` and `some_program` are tasks
with the storages they touch; `training_step` is an MLP's step by hand.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from hypothesis import strategies as st

from gradc.plan import order
from gradc.plan.memory import Storage
from gradc.plan.offsets import Region
from gradc.plan.order import InPlace, Task, TaskId, lower_bound_all_orders, peak, schedule

DATA = Path(__file__).parent / "data" / "memory"


def instance(name: str) -> list[Region]:
    rows = csv.DictReader(io.StringIO((DATA / f"{name}.csv").read_text()))
    return [Region(r["id"], int(r["size"]), 1, int(r["lower"]), int(r["upper"])) for r in rows]


class Program:
    """Tasks in a right order, with all that `schedule` and `peak` want to know about them."""

    def __init__(self, tasks: list[Task], sizes: dict[str, int], **rest: Sequence[object]) -> None:
        self.tasks, self.sizes = tasks, sizes
        self.live_in: Sequence[str] = [str(n) for n in rest.get("live_in", ())]
        self.live_out: Sequence[str] = [str(n) for n in rest.get("live_out", ())]
        self.in_place: Sequence[InPlace] = rest.get("in_place", ())  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Program({self.__dict__})"

    def peak(self, sequence: Sequence[TaskId]) -> int:
        return peak(
            sequence,
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
        )

    def bound(self) -> int:
        return lower_bound_all_orders(
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
        )

    def schedule(self, **options: int) -> tuple[TaskId, ...]:
        return schedule(
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
            **options,
        )

    @property
    def given(self) -> tuple[TaskId, ...]:
        return tuple(t.id for t in self.tasks)

    def orders(self) -> Iterator[tuple[TaskId, ...]]:
        """All topological orders, the obvious way."""
        before = order.dependencies(self.tasks)

        def extend(done: tuple[TaskId, ...]) -> Iterator[tuple[TaskId, ...]]:
            if len(done) == len(self.tasks):
                yield done
            for i in self.given:
                if i not in done and before[i] <= set(done):
                    yield from extend((*done, i))

        return extend(())


@st.composite
def some_program(draw: st.DrawFn, most: int = 7) -> Program:
    """Tasks that each make a storage or two, read earlier ones, and sometimes update one."""
    size = st.sampled_from((0, 1, 2, 5, 10, 10, 30))
    sizes = {"w": draw(size), "x": draw(size)}
    live_in = ["w", "x"]
    made = list(live_in)
    tasks: list[Task] = []
    in_place: list[InPlace] = []
    for i in range(draw(st.integers(1, most))):
        reads = draw(st.lists(st.sampled_from(made), max_size=3, unique=True))
        writes = [f"s{i}"]
        sizes[f"s{i}"] = draw(size)
        if draw(st.integers(0, 3)) == 0:
            writes.append(draw(st.sampled_from(made)))
        if draw(st.integers(0, 4)) == 0:
            writes.append(f"t{i}")
            sizes[f"t{i}"] = draw(size)
        after = draw(st.lists(st.sampled_from(range(i)), max_size=1)) if i else []
        tasks.append(
            Task(i, tuple(reads), tuple(writes), draw(st.sampled_from((0, 0, 7))), tuple(after))
        )
        in_place += [(i, s, t) for s in reads for t in writes if s != t and draw(st.booleans())]
        made += [n for n in writes if n not in made]
    live_out = draw(st.lists(st.sampled_from(made), max_size=3, unique=True))
    return Program(tasks, sizes, live_in=live_in, live_out=live_out, in_place=in_place)


def training_step() -> tuple[list[Task], list[Storage], list[InPlace]]:
    """An MLP's step by hand; relu and its gradient in place, updates in the products."""
    tasks = [
        Task("fc1", ("x", "w1"), ("h1",), scratch=1000),
        Task("relu", ("h1",), ("a1",)),
        Task("fc2", ("a1", "w2"), ("h2",)),
        Task("cross_entropy", ("h2", "y"), ("loss", "d_h2")),
        Task("d_a1", ("d_h2", "w2"), ("d_a1",)),
        Task("update_w2", ("a1", "d_h2"), ("w2",)),
        Task("d_relu", ("d_a1", "a1"), ("d_h1",)),
        Task("update_w1", ("x", "d_h1"), ("w1",)),
    ]
    storages = [
        Storage("x", 64 * 784 * 4, kind="io"),
        Storage("y", 64 * 4, kind="io"),
        Storage("loss", 4, kind="io"),
        Storage("w1", 784 * 128 * 4, kind="state"),
        Storage("w2", 128 * 10 * 4, kind="state"),
        *(Storage(n, 64 * 128 * 4, shape="f32[64, 128]") for n in ("h1", "a1", "d_a1", "d_h1")),
        *(Storage(n, 64 * 10 * 4, shape="f32[64, 10]") for n in ("h2", "d_h2")),
    ]
    in_place: list[InPlace] = [
        ("relu", "h1", "a1"),
        ("cross_entropy", "h2", "d_h2"),
        ("d_relu", "d_a1", "d_h1"),
    ]
    return tasks, storages, in_place
