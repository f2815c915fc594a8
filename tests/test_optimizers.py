"""What all optimizers have in common, the wrappers around them, and schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import stepping

import gradc as gd
from gradc import optim
from gradc.errors import ArgumentError, ShapeError
from gradc.optim import schedules

STEPS = 12
OPTIMIZERS = [getattr(optim, name) for name in optim.OPTIMIZERS]
WRAPPED = {
    "Clip": lambda: optim.Clip(optim.Adam(1e-2), norm=0.05, value=0.01),
    "Groups": lambda: optim.Groups({"*.bias": optim.SGD(0.3)}, optim.AdamW(1e-2)),
    "Accumulate": lambda: optim.Accumulate(optim.RMSprop(1e-2), 3),
    "EMA": lambda: optim.EMA(optim.SGD(0.1, momentum=0.9), 0.9),
    "SWA": lambda: optim.SWA(optim.Lion(1e-2)),
    "all at once": lambda: optim.EMA(optim.Accumulate(optim.Clip(optim.Adam(), norm=1.0), 2)),
}


def quadratic(p: Any, x: Any) -> Any:
    return ((x @ p["weight"] + p["bias"] - 1) ** 2).mean()


def start() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "weight": rng.normal(size=(4, 3)).astype(np.float32),
        "bias": np.zeros(3, np.float32),
    }


X = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)


def check_compiled(make: Any, params: dict[str, Any], loss: Any) -> Any:
    """Steps in C are those that NumPy computes; returns the step."""
    step = gd.train_step(loss, params, make(), gd.f32[8, 4], cflags=["-O1"])
    optimizer = make()
    state, rate = optimizer.init(params), optimizer.lr
    gradient = gd.grad(loss)
    for _ in range(STEPS):
        step(X)
        params, state = optimizer.update(params, gradient(params, X), state, rate)
    for name, value in params.items():
        np.testing.assert_allclose(step.params[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    return step


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=optim.OPTIMIZERS)
def test_a_compiled_step_is_what_numpy_computes(kind: Any) -> None:
    params, loss = start(), quadratic
    if kind is optim.Muon:  # for matrices alone
        params = {"weight": params["weight"]}
        loss = lambda p, x: ((x @ p["weight"] - 1) ** 2).mean()  # noqa: E731
    check_compiled(kind, params, loss)


@pytest.mark.parametrize("name", WRAPPED)
def test_so_is_one_of_a_wrapped_optimizer(name: str) -> None:
    params = {"layer.weight": start()["weight"], "layer.bias": start()["bias"]}

    def loss(p: Any, x: Any) -> Any:
        return quadratic({key.removeprefix("layer."): value for key, value in p.items()}, x)

    check_compiled(WRAPPED[name], params, loss)


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=optim.OPTIMIZERS)
def test_every_optimizer_goes_down_and_up(kind: Any) -> None:
    """Towards the least value of a quadratic, or, where it can maximize, the greatest."""
    p = {"w": np.array([[2.0, -3.0], [1.0, 4.0]])}
    for sign in (1, -1):
        try:
            optimizer = kind(**({"maximize": True} if sign < 0 else {}))
        except TypeError:
            assert kind is optim.Muon
            continue
        params, state = p, optimizer.init(p)
        for _ in range(20):
            grads = {"w": sign * 2 * params["w"]}
            params, state = optimizer.update(params, grads, state, optimizer.lr)
        assert (params["w"] ** 2).sum() < (p["w"] ** 2).sum()


def test_lion_by_hand() -> None:
    optimizer = optim.Lion(0.1, betas=(0.5, 0.75), weight_decay=0.5)
    params, state = {"w": np.array([1.0, -2.0])}, {"momentum": {"w": np.array([0.0, 1.0])}}
    params, state = optimizer.update(params, {"w": np.array([2.0, -3.0])}, state, 0.1)
    np.testing.assert_allclose(params["w"], [0.95 - 0.1, -1.9 + 0.1])
    np.testing.assert_allclose(state["momentum"]["w"], [0.5, 0.0])


def test_lamb_by_hand() -> None:
    optimizer = optim.LAMB(0.1, betas=(0.5, 0.75), eps=0.0, weight_decay=0.5)
    params = {"w": np.array([3.0, 4.0]), "zero": np.zeros(2)}
    state = optimizer.init(params)
    grads = {"w": np.array([2.0, -2.0]), "zero": np.ones(2)}
    new, _ = optimizer.update(params, grads, state, 0.1)
    step = np.array([1.0, -1.0]) + 0.5 * params["w"]  # corrected, both moments are those of g
    expected = params["w"] - 0.1 * 5 / np.linalg.norm(step) * step
    np.testing.assert_allclose(new["w"], expected, rtol=1e-12)
    np.testing.assert_allclose(new["zero"], [-0.1, -0.1], rtol=1e-12)


class Momentum(optim.Optimizer):
    """An optimizer of a user's own."""

    def slots(self, p: Any) -> dict[str, Any]:
        return {"momentum": optim.zeros_for(p)}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Any) -> tuple[Any, dict[str, Any]]:
        momentum = 0.9 * kept["momentum"] + g
        return p - now.lr * momentum, {"momentum": momentum}


def test_an_optimizer_of_ones_own_in_ten_lines() -> None:
    mine = check_compiled(lambda: Momentum(0.1), start(), quadratic)
    theirs = check_compiled(lambda: optim.SGD(0.1, momentum=0.9), start(), quadratic)
    for name, value in theirs.params.items():
        np.testing.assert_array_equal(mine.params[name], value)
    with pytest.raises(NotImplementedError, match="Optimizer has no `rule`"):
        optim.Optimizer().update({"w": X}, {"w": X}, {}, 0.1)


def test_a_long_run_of_adam_does_not_lose_its_count() -> None:
    """Corrections are exact however small 1 - beta**t, and steps count beyond 32 bits."""
    optimizer = optim.Adam(1e-3, betas=(0.9, 0.999999))
    w = np.zeros(1, np.float32)
    state = optimizer.init({"w": w})
    new, state = optimizer.update({"w": w}, {"w": np.ones(1, np.float32)}, state, np.float32(1e-3))
    np.testing.assert_allclose(new["w"], -1e-3, rtol=1e-6)
    state["count"] = np.uint64(2**40)
    _, state = optimizer.update(new, {"w": w}, state, np.float32(1e-3))
    assert state["count"] == 2**40 + 1


def test_clipping_is_of_the_norm_of_all() -> None:
    grads = {"a": np.array([3.0]), "b": [np.array([0.0, 4.0])]}
    shorter = optim.clip_by_norm(grads, 1.0)
    np.testing.assert_allclose(shorter["a"], 0.6, rtol=1e-6)
    np.testing.assert_allclose(shorter["b"][0], [0.0, 0.8], rtol=1e-6)
    same = optim.clip_by_norm(grads, 6.0)
    np.testing.assert_array_equal(same["b"][0], [0.0, 4.0])
    np.testing.assert_array_equal(optim.clip_by_value(grads, 3.5)["b"][0], [0.0, 3.5])


def test_a_group_keeps_its_rate_in_proportion() -> None:
    params = {"fc.weight": np.ones(2), "fc.bias": np.ones(2)}
    grads = {"fc.weight": np.ones(2), "fc.bias": np.ones(2)}
    groups = optim.Groups({"*.bias": optim.SGD(0.3)}, optim.SGD(0.1))
    new, _ = groups.update(params, grads, groups.init(params), 0.05)
    np.testing.assert_allclose([new["fc.weight"][0], new["fc.bias"][0]], [0.95, 0.85])
    assert list(new) == list(params)


def test_accumulated_batches_are_one_batch() -> None:
    params, optimizer = start(), optim.Adam(0.1)
    halves = [gd.grad(quadratic)(params, X[:4]), gd.grad(quadratic)(params, X[4:])]
    one = gd.grad(quadratic)(params, X)
    expected, _ = optimizer.update(params, one, optimizer.init(params), 0.1)
    accumulate = optim.Accumulate(optimizer, 2)
    state, new = accumulate.init(params), params
    for grads in halves:
        before = new
        new, state = accumulate.update(new, grads, state, 0.1)
    assert all(np.array_equal(before[name], params[name]) for name in params)
    for name, value in expected.items():
        np.testing.assert_allclose(new[name], value, rtol=1e-4)
    assert state["batches"] == 0
    assert state["inner"]["count"] == 1


def test_averages_are_in_the_state() -> None:
    def make(wrapper: Any) -> Any:
        return gd.train_step(quadratic, start(), wrapper, gd.f32[8, 4], cflags=["-O1"])

    swa, ema = make(optim.SWA(optim.SGD(0.1))), make(optim.EMA(optim.SGD(0.1), 0.75))
    seen = []
    for _ in range(5):
        swa(X)
        ema(X)
        seen.append(np.array(swa.params["weight"]))
    average = swa.state["opt.average.weight"]
    np.testing.assert_allclose(average, np.mean(seen, 0), rtol=1e-5)
    moving = seen[0]
    for value in seen[1:]:
        moving = 0.75 * moving + 0.25 * value
    np.testing.assert_allclose(ema.state["opt.average.weight"], moving, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.Adam(lr=-1), "`lr` is a number from 0"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), "`betas[1]` is a number from 0 to less than 1"),
        (lambda: optim.Adam(betas=0.9), "`betas` is a pair of numbers"),
        (lambda: optim.AdamW(eps="1e-8"), "`eps` is a number from 0"),
        (lambda: optim.RMSprop(alpha=2), "`alpha` is a number from 0 to less than 1"),
        (lambda: optim.Rprop(etas=(1.2, 0.5)), "`etas` lie on both sides of 1"),
        (lambda: optim.Adafactor(beta2_decay=0.8), "`beta2_decay` is at most 0"),
        (lambda: optim.Adafactor(d=0.5), "`d` is a number from 1"),
        (lambda: optim.Muon(ns_steps=0), "`ns_steps` is a number of iterations"),
        (lambda: optim.Muon(ns_coefficients=(1, 2)), "`ns_coefficients` are three numbers"),
        (lambda: optim.Muon(adjust_lr_fn="best"), "unknown `adjust_lr_fn` 'best'"),
        (lambda: optim.Clip(optim.SGD()), "`Clip` needs a `norm` or a `value`"),
        (lambda: optim.Clip(optim.SGD, norm=1.0), "`Clip` takes optimizers"),
        (lambda: optim.Accumulate(optim.SGD(), 0), "`steps` is a number of batches"),
        (lambda: optim.EMA(optim.SGD(), 1.0), "`decay` is a number from 0 to less than 1"),
        (lambda: optim.Groups({"*": 1}, optim.SGD()), "`Groups` takes optimizers"),
        (
            lambda: optim.Groups({"*": optim.SGD(schedules.constant(1.0))}, optim.SGD()),
            "is in no proportion",
        ),
        (lambda: optim.Groups({"*.b": optim.SGD()}, optim.SGD()).init(start()), "no parameter"),
        (lambda: schedules.cosine(0.1, 0), "`steps` is a number of steps from 1"),
        (lambda: schedules.step(0.1, 10, 0.0), "`factor` is a number above 0"),
        (lambda: schedules.piecewise([10], [0.1]), "rising boundaries"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make()
    assert words in str(caught.value)


def test_muon_says_who_else_may_train_a_vector() -> None:
    with pytest.raises(ShapeError, match="matrices") as caught:
        gd.train_step(quadratic, start(), optim.Muon(), gd.f32[8, 4])
    assert "optim.Groups" in str(caught.value)


def test_settings_are_shown() -> None:
    assert repr(optim.Clip(optim.AdamW(1e-3), norm=1.0)).startswith("Clip(AdamW(lr=0.001, ")
    assert repr(schedules.cosine(0.1, 100)) == "cosine(0.1, 100, 0.0)"


class TestSchedules:
    """Every schedule is PyTorch's, or its definition; traced, it is what Python computes."""

    ALL: dict[str, tuple[Any, Any]] = {  # noqa: RUF012
        "constant": (schedules.constant(0.2), lambda t: 0.2),
        "step": (schedules.step(0.2, 7, 0.5), lambda t: 0.2 * 0.5 ** (t // 7)),
        "multi_step": (
            schedules.multi_step(0.2, [3, 20], 0.1), lambda t: 0.2 * 0.1 ** ((t >= 3) + (t >= 20))
        ),
        "exponential": (schedules.exponential(0.2, 0.9), lambda t: 0.2 * 0.9**t),
        "cosine": (
            schedules.cosine(0.2, 30, 0.01),
            lambda t: 0.01 + 0.19 * (1 + math.cos(math.pi * min(t / 30, 1))) / 2,
        ),
        "polynomial": (
            schedules.polynomial(0.2, 30, 2.0, 0.1), lambda t: 0.1 + 0.1 * (1 - min(t / 30, 1)) ** 2
        ),
        "warmup": (
            schedules.warmup(schedules.exponential(0.2, 0.9), 5, 0.1),
            lambda t: (0.1 + 0.9 * min(t / 5, 1)) * 0.2 * 0.9 ** max(t - 5, 0),
        ),
        "piecewise": (
            schedules.piecewise([4, 9], [0.1, schedules.exponential(0.2, 0.5), 0.3]),
            lambda t: 0.1 if t < 4 else 0.2 * 0.5 ** (t - 4) if t < 9 else 0.3,
        ),
    }  # fmt: skip

    @pytest.mark.parametrize("name", ALL)
    def test_by_definition(self, name: str) -> None:
        schedule, expected = self.ALL[name]
        compiled = gd.compile(lambda t: schedule(t), gd.f32[()], cflags=["-O1"])
        for t in range(40):
            assert schedule(np.float64(t)) == pytest.approx(expected(t), rel=1e-9, abs=1e-12)
            assert compiled(np.float32(t)) == pytest.approx(expected(t), rel=1e-4, abs=1e-7)

    @pytest.mark.peers
    @pytest.mark.parametrize(
        ("schedule", "theirs", "settings"),
        [
            (schedules.step(1.0, 7, 0.5), "StepLR", {"step_size": 7, "gamma": 0.5}),
            (
                schedules.multi_step(1.0, [3, 20]), "MultiStepLR",
                {"milestones": [3, 20], "gamma": 0.1},
            ),
            (schedules.exponential(1.0, 0.9), "ExponentialLR", {"gamma": 0.9}),
            (
                schedules.cosine(1.0, 45, 0.1), "CosineAnnealingLR",
                {"T_max": 45, "eta_min": 0.1},
            ),
            (
                schedules.cosine_restarts(1.0, 8, 1, 0.1), "CosineAnnealingWarmRestarts",
                {"T_0": 8, "T_mult": 1, "eta_min": 0.1},
            ),
            (
                schedules.cosine_restarts(1.0, 3, 2), "CosineAnnealingWarmRestarts",
                {"T_0": 3, "T_mult": 2},
            ),
            (
                schedules.polynomial(1.0, 30, 2.0), "PolynomialLR",
                {"total_iters": 30, "power": 2.0},
            ),
            (
                schedules.one_cycle(1.0, 45), "OneCycleLR",
                {"max_lr": 1.0, "total_steps": 45, "cycle_momentum": False},
            ),
            (
                schedules.warmup(1.0, 10, 0.25), "LinearLR",
                {"start_factor": 0.25, "total_iters": 10},
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )  # fmt: skip
    def test_by_pytorch(self, schedule: Any, theirs: str, settings: dict[str, Any]) -> None:
        torch = pytest.importorskip("torch")
        stepper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = getattr(torch.optim.lr_scheduler, theirs)(stepper, **settings)
        for t in range(45):
            expected = scheduler.get_last_lr()[0]
            assert schedule(np.float64(t)) == pytest.approx(expected, rel=1e-6, abs=1e-9), t
            assert schedule(np.float32(t)) == pytest.approx(expected, rel=1e-4, abs=1e-5), t
            if t < 44:
                stepper.step()
                scheduler.step()

    def test_a_scheduled_step_follows_its_own_counter(self) -> None:
        rate = schedules.warmup(schedules.cosine(0.1, 20), 4)
        step = gd.train_step(
            stepping.loss, stepping.Net(), optim.SGD(rate),
            gd.f32[stepping.BATCH, stepping.FEATURES], gd.i32[stepping.BATCH], cflags=["-O1"],
        )  # fmt: skip
        before = {name: np.array(p) for name, p in step.params.items()}
        step(stepping.X[:16], stepping.Y[:16])
        for name, value in before.items():  # the first rate is 0
            np.testing.assert_array_equal(step.params[name], value)
        step(stepping.X[:16], stepping.Y[:16])
        assert any(not np.array_equal(step.params[n], v) for n, v in before.items())
