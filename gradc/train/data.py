"""Data sets: what is trained on, in which order, and the pieces a step takes it in.

Enters: a tuple of arrays with equal first axes, or an iterable of batches. Leaves: `Piece`s of work
for a step. Always holds: what a step gets has its shapes and dtypes; an epoch takes
every row exactly once (but for a last short batch under `drop_last`); the order of rows is a
function of seed and epoch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..conversion import described, each, in_dtype
from ..dtypes import Spec, is_float
from ..errors import ArgumentError, DataError, ShapeError, fail

Array = np.ndarray[Any, Any]


class Step(Protocol):
    """What training needs of a compiled step; `gradc.TrainStep` is one."""

    @property
    def name(self) -> str: ...
    @property
    def batch(self) -> int | None: ...
    @property
    def specs(self) -> tuple[Spec, ...]: ...
    @property
    def state(self) -> Mapping[str, Array]: ...
    @property
    def predict(self) -> Callable[..., Any]: ...
    def __call__(self, *batch: Any, lr: float | None = None) -> Any: ...
    def many(
        self, data: tuple[Array, ...], order: Array, lr: float | None = None, metrics: bool = False
    ) -> Any: ...
    def evaluate(self, *batch: Any) -> Any: ...
    def for_batch(self, rows: int, /) -> Step: ...
    def build(self) -> Any: ...
    def state_dict(self) -> dict[str, Array]: ...
    def load_state_dict(self, tensors: dict[str, Array], /) -> Any: ...


Values = dict[str, Array]


@dataclass(frozen=True)
class Piece:
    """Work that is done in one call: `batches` batches of `rows` rows each.

    `run(lr)` gives the loss and the metrics of each batch. For messages, `rows_of(i)` says which
    rows the batch `i` had and `odd_row(i)` where it holds a number that is not finite, if it does.
    """

    batches: int
    rows: int
    run: Callable[[float | None], Values]
    rows_of: Callable[[int], str]
    odd_row: Callable[[int], str]


def values_of(result: Any) -> Values:
    """The loss and the metrics of one call of a step, as arrays of one element."""
    loss, metrics = result if isinstance(result, tuple) else (result, {})
    return {n: np.reshape(np.asarray(v), 1) for n, v in {"loss": loss, **metrics}.items()}


# Arrays ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Arrays with equal first axes, the step that takes their rows, and how many rows there are."""

    step: Step
    arrays: tuple[Array, ...]
    rows: int
    batch: int

    @property
    def full(self) -> int:
        """How many full batches the rows make."""
        return self.rows // self.batch

    @property
    def rest(self) -> int:
        """How many rows are left for a last short batch."""
        return self.rows % self.batch

    def build(self, drop_last: bool = False) -> None:
        """Compile what an epoch will need, before any clock runs."""
        if self.full:
            self.step.build()
        if self.rest and not drop_last:
            self.step.for_batch(self.rest).build()

    def slices(self) -> Iterator[tuple[Step, tuple[Array, ...]]]:
        """All rows in their own order: each batch with the step compiled for its size."""
        for start in range(0, self.rows, self.batch):
            part = tuple(a[start : start + self.batch] for a in self.arrays)
            short_one = self.rows - start < self.batch
            yield (self.step.for_batch(self.rest) if short_one else self.step), part


class ColumnsEpoch:
    """One epoch over arrays, from batch `done` on."""

    def __init__(
        self, columns: Columns, *, seed: int, epoch: int, shuffle: bool, drop_last: bool, done: int
    ) -> None:
        self.columns = columns
        self.order = draw(columns.rows, seed, epoch) if shuffle else np.arange(columns.rows)
        self.batches = columns.full + (columns.rest > 0 and not drop_last)
        self.done = done

    def take(self, most: int) -> Piece | None:
        """The next at most `most` batches, or None at the end."""
        if self.done >= self.batches:
            return None
        columns, start = self.columns, self.done * self.columns.batch
        count = min(most, columns.full - self.done)
        if count > 0:
            self.done += count
            order = self.order[start : start + count * columns.batch].reshape(count, -1)
            return self._piece(order, self._many(order))
        self.done += 1
        rows = self.order[start:]
        return self._piece(rows[None], self._last(rows))

    def _piece(self, order: Array, run: Callable[[float | None], Values]) -> Piece:
        """The work of `run` on the rows of `order`, of which it has one batch a row."""
        arrays = self.columns.arrays
        count, rows = order.shape
        return Piece(
            count,
            rows,
            run,
            lambda i: listed(order[i]),
            lambda i: odd_row(arrays, np.sort(order[i])) or odd_row(arrays),
        )

    def _many(self, order: Array) -> Callable[[float | None], Values]:
        def run(lr: float | None) -> Values:
            columns = self.columns
            losses, metrics = columns.step.many(columns.arrays, order, lr=lr, metrics=True)
            return {"loss": losses, **metrics}

        return run

    def _last(self, rows: Array) -> Callable[[float | None], Values]:
        def run(lr: float | None) -> Values:
            step = self.columns.step.for_batch(len(rows))
            return values_of(step(*(a[rows] for a in self.columns.arrays), lr=lr))

        return run


def draw(rows: int, seed: int, epoch: int) -> Array:
    """The order of an epoch: every row once, without replacement."""
    return np.random.default_rng((seed, epoch)).permutation(rows)


def listed(rows: Array) -> str:
    """`rows 4, 17, 3, ...`"""
    return f"rows {', '.join(map(str, rows[:6]))}" + (", ..." if len(rows) > 6 else "")


def odd_row(arrays: tuple[Array, ...], rows: Array | None = None, what: str = "data") -> str:
    """The first number that is not finite (among `rows`, by default all), as `data[0][17, 3]`."""
    for k, array in enumerate(arrays):
        if not is_float(array.dtype) or not array.ndim:
            continue
        odd = ~np.isfinite(array if rows is None else array[rows])
        if odd.any():
            first, *rest = (int(i) for i in np.argwhere(odd)[0])
            row = first if rows is None else int(rows[first])
            return f"`{what}[{k}]{[row, *rest]}` is {array[(row, *rest)]}"
    return ""


# Iterables of batches -------------------------------------------------------------------------


@dataclass(frozen=True)
class Batches:
    """Any iterable of batches, in its own order; each epoch iterates it anew."""

    step: Step
    source: Iterable[Any]

    def build(self, drop_last: bool = False) -> None:
        """Compile the step for its own batch size, before any clock runs."""
        self.step.build()

    @property
    def count(self) -> int | None:
        """How many batches there are, if the iterable knows."""
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None

    def slices(self) -> Iterator[tuple[Step, tuple[Array, ...]]]:
        """Each batch with the step compiled for its size."""
        for i, batch in enumerate(self.source):
            yield self._checked(batch, f"batch {i}")

    def _checked(self, batch: Any, what: str) -> tuple[Step, tuple[Array, ...]]:
        if not isinstance(batch, (tuple, list)):
            batch = (batch,)
        arrays = arrays_for(self.step, tuple(batch), what)
        size = self.step.batch
        if size is None:
            return self.step, arrays
        rows = equal_rows(arrays, what)
        return (self.step if rows == size else self.step.for_batch(rows)), arrays


class BatchesEpoch:
    """One epoch over an iterable; `done` batches are skipped, and so are short ones if asked."""

    def __init__(self, batches: Batches, *, drop_last: bool, done: int) -> None:
        self.batches = batches.count
        self.size = batches.step.batch
        self.drop_last = drop_last
        self.items = enumerate(batches.slices())
        for _ in range(done):
            next(self.items, None)

    def take(self, most: int) -> Piece | None:
        """The next batch, or None at the end: an iterable gives one at a time."""
        for i, (step, arrays) in self.items:
            rows = len(arrays[0]) if self.size is not None else 1
            if not self.drop_last or self.size is None or rows == self.size:
                return Piece(
                    1,
                    rows,
                    lambda lr, step=step, arrays=arrays: values_of(step(*arrays, lr=lr)),  # type: ignore[misc]
                    lambda _, i=i: f"batch {i} of the iterable",  # type: ignore[misc]
                    lambda _, i=i, arrays=arrays: odd_row(arrays, what=f"batch {i}"),  # type: ignore[misc]
                )
        return None


# Checks ---------------------------------------------------------------------------------------


def read(data: Any, step: Step, what: str = "data") -> Columns | Batches:
    """A data set for `step`: a tuple of arrays (or one array), else an iterable of batches.

    Arrays are converted to the step's dtypes here, once (`what` is what messages call them);
    batches when they come.
    """
    if isinstance(data, np.ndarray) or (hasattr(data, "__array__") and hasattr(data, "shape")):
        data = (data,)
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
        raise fail(
            DataError,
            "GC611",
            f"{what} is a tuple of arrays or an iterable of batches, got a `{type(data).__name__}`",
            notes=(f"`{step.name}` takes {signature(step)}",),
            helps=("give arrays as a tuple, `(x, y)`",),
        )
    if not isinstance(data, tuple):
        return Batches(step, data)
    if step.batch is None:
        raise fail(
            ArgumentError,
            "GC612",
            f"the arguments of `{step.name}` share no first axis, so arrays cannot be split into "
            "batches",
            helps=("pass an iterable of batches", "give every spec the same first extent"),
        )
    arrays = arrays_for(step, data, what)
    rows = equal_rows(arrays, what)
    # C gathers rows by index, so they must lie one after another; of a memory map that is true.
    return Columns(step, tuple(np.ascontiguousarray(a) for a in arrays), rows, step.batch)


def signature(step: Step) -> str:
    return ", ".join(map(repr, step.specs)) or "no data"


def arrays_for(step: Step, given: tuple[Any, ...], what: str) -> tuple[Array, ...]:
    """`given` as arrays of the step's dtypes, each checked but for the number of rows."""
    if len(given) != len(step.specs):
        counted = f"{len(given)} {'array' if len(given) == 1 else 'arrays'}"
        raise fail(
            DataError,
            "GC613",
            f"{what} has {counted}, `{step.name}` takes {len(step.specs)}: {signature(step)}",
            helps=("give arrays as a tuple, `(x, y)`: a list is taken for a list of batches",),
        )
    pairs = enumerate(zip(given, step.specs, strict=True))
    return tuple(each(checked, [(a, spec, f"{what}[{i}]", step) for i, (a, spec) in pairs]))


def as_array(value: Any, what: str) -> Array:
    """`value` as a NumPy array without copying one; a torch tensor on the CPU is one."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise fail(
            DataError,
            "GC614",
            f"`{what}` cannot be read as an array: {str(error).splitlines()[0].lower()}",
            helps=("take a torch tensor off its graph and device: `.detach().cpu()`",),
        ) from None


def checked(value: Any, spec: Spec, what: str, step: Step) -> Array:
    """`value` in the dtype of the spec, if its shape behind the first axis is the spec's."""
    array = as_array(value, what)
    batched = step.batch is not None
    fits = array.shape == spec.shape
    if batched:
        fits = array.ndim == spec.ndim and array.shape[1:] == spec.shape[1:]
    wanted = f"{spec}, with any number of rows" if batched else f"{spec}"
    if not fits:
        extents = ", ".join(map(str, (-1, *spec.shape[1:]) if batched else spec.shape))
        raise fail(
            ShapeError,
            "GC616",
            f"`{what}` is {described(array)}, `{step.name}` takes {wanted}",
            helps=(f"reshape it, if its elements are in that order: `.reshape({extents})`",),
        )
    return in_dtype(array, spec.dtype, what, wanted, weak=not hasattr(value, "dtype"))


def equal_rows(arrays: tuple[Array, ...], what: str) -> int:
    """The number of rows all arrays have; raises DataError if they differ or there are none."""
    counts = [len(a) for a in arrays]
    if len(set(counts)) > 1:
        shapes = ", ".join(f"`{what}[{i}]` has {n}" for i, n in enumerate(counts))
        raise fail(
            DataError,
            "GC617",
            f"all arrays need the same number of rows: {shapes}",
            helps=("give one row of each array for each sample",),
        )
    if not counts or counts[0] == 0:
        message = f"{what} is empty: there are no rows to train or test on"
        raise fail(DataError, "GC618", message, helps=("pass at least one row",))
    return counts[0]
