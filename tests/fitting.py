"""Short runs of the trainer on the fake step: what the tests of the trainer share.

`fitted` trains without progress on `ROWS` rows if no data is given; `Watched` remembers its rows.
"""

from __future__ import annotations

from typing import Any

from fake_step import FakeStep, samples

from gradc.train import History, Trainer

ROWS = 22  # five batches of four, and two rows more


def fitted(step: FakeStep, data: Any = None, **options: Any) -> History:
    options.setdefault("progress", False)
    return Trainer(step).fit(samples(ROWS) if data is None else data, **options)


def same_state(a: FakeStep, b: FakeStep) -> bool:
    return all(a.state[n].tobytes() == b.state[n].tobytes() for n in a.state)


class Watched(FakeStep):
    """Remembers which rows each update saw; rows are told apart by their first number."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[list[float]] = []

    def __call__(self, x: Any, y: Any, lr: float | None = None) -> Any:
        self.seen.append(x[:, 0].tolist())
        return super().__call__(x, y, lr)

    def for_batch(self, rows: int) -> FakeStep:
        other = super().for_batch(rows)
        if other is not self and not isinstance(other, Watched):
            copy = Watched(rows)
            copy.state, copy.seen = self.state, self.seen
            self.others[rows] = other = copy
        return other
