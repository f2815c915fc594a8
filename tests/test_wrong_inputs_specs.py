"""Wrong specs, functions that are none or take something else, optimizers."""

from __future__ import annotations

import pytest
from wrong_input import Wrong, check, line, step_of

from gradc.errors import ArgumentError, DTypeError, TraceError

A = ArgumentError


SPECS = (
    step_of(
        "loss, MLP(), optim.SGD(), gd.f32, gd.i32",
        A,
        "`train_step` needs a spec for argument 0, got the dtype `gradc.float32`",
        "write `gd.f32[()]` for a scalar, `gd.f32[64, 784]` for an array",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), gd.f32[4, 6], np.int32",
        A,
        "`train_step` needs a spec for argument 1, got the class `int32`",
        "write `gd.i32[()]` for a scalar, `gd.i32[64, 784]` for an array",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), (4, 6), (4,)",
        A,
        "the tuple (4, 6) has no dtype, so it is no spec",
        "write `gd.f32[4, 6]`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), 'float32', 'int32'",
        A,
        "each argument of a training step is one array, got a `str`",
        "write a spec, such as `gd.f32[64, 784]`, instead of 'float32'",
    ),
    step_of(
        "loss, MLP(), optim.SGD()",
        A,
        "the function `loss` takes (model, x, y), got the model and 0 specs",
        "give one spec for each argument, such as `gd.f32[64, 784]`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), gd.f32[4, 6]",
        A,
        "the function `loss` takes (model, x, y), got the model and 1 spec",
        "give one spec for each argument, such as `gd.f32[64, 784]`",
    ),
    line(
        "gd.compile(np.tanh, gd.f32)",
        A,
        "`compile` needs a spec for argument 0, got the dtype `gradc.float32`",
        "write `gd.f32[()]` for a scalar, `gd.f32[64, 784]` for an array",
    ),
    line(
        "gd.compile(lambda x: x, np.float32)",
        A,
        "`compile` needs a spec for argument 0, got the class `float32`",
        "write `gd.f32[()]` for a scalar, `gd.f32[64, 784]` for an array",
    ),
    line(
        "gd.compile(lambda p: p['w'], {'w': gd.f32})",
        A,
        "`compile` needs a spec for argument 0, got the dtype `gradc.float32`",
        "write `gd.f32[()]` for a scalar",
    ),
    line(
        "gd.compile(lambda x: x, float)",
        A,
        "`compile` needs a spec for argument 0, got the class `float`",
        "write `gd.f32[()]` for a scalar, `gd.f32[64, 784]` for an array",
    ),
    line(
        "gd.compile(lambda x: x)",
        A,
        "the function `<lambda>` takes (x), got 0 specs",
        "give one spec for each argument, such as `gd.f32[64, 784]`",
    ),
    line(
        "gd.compile(lambda x: x, gd.f32[2], gd.f32[2])",
        A,
        "the function `<lambda>` takes (x), got 2 specs",
        "give one spec for each argument, such as `gd.f32[64, 784]`",
    ),
    line(
        "gd.compile(3.0, gd.f32[2])",
        A,
        "`compile` takes a function first, got a `float`",
        "pass the function itself: `compile(f, ...)`, not `compile(f(x),",
    ),
    line(
        "gd.trace(gd.f32[2])",
        A,
        "`trace` takes a function first, got a `Spec`",
        "pass the function itself: `trace(f, ...)`, not `trace(f(x), ...)`",
    ),
    line(
        "gd.grad(3.0)",
        A,
        "`grad` takes a function first, got a `float`",
        "pass the function itself: `grad(f, ...)`, not `grad(f(x), ...)`",
    ),
    line(
        "gd.jit(3.0)",
        A,
        "`jit` takes a function first, got a `float`",
        "pass the function itself: `jit(f, ...)`, not `jit(f(x), ...)`",
    ),
    line(
        "gd.f32[-1]",
        DTypeError,
        "a spec's extents are non-negative integers, got -1",
        "give the size itself: unlike in `reshape`, nothing is worked out",
    ),
    line(
        "gd.f32[None, 784]",
        DTypeError,
        "a spec's extents are non-negative integers, got None",
        "give every axis its size: a spec of another size is compiled apart",
    ),
    line(
        "gd.f32[2.5]",
        DTypeError,
        "a spec's extents are non-negative integers, got 2.5",
        "round it to a whole number",
    ),
    line(
        "gd.f32[:, 3]",
        DTypeError,
        "a spec's extents are non-negative integers, got `:`",
        "give every axis its size: a spec of another size is compiled apart",
    ),
    line(
        "gd.f32(64, 784)", DTypeError, "`gd.f32` is a dtype", "write `gd.f32[64, 784]` for a spec"
    ),
    line(
        "gd.spec('float32', (64, 784))",
        DTypeError,
        "`spec` takes the shape first, then the dtype, got 'float32' first",
        "exchange them: `gd.spec((64,), dtype)`",
    ),
    line(
        "gd.spec((64, 784), 'float16')",
        DTypeError,
        "dtype `float16` is not supported",
        "use one of f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool",
    ),
    line(
        "gd.spec((64, 784), 'flaot32')",
        DTypeError,
        "dtype `flaot32` is not supported",
        "write `float32`",
    ),
    line(
        "gd.query(lambda s, x: x, gd.f32)",
        A,
        "`query` needs a spec for argument 0, got the dtype `gradc.float32`",
        "write `gd.f32[()]` for a scalar, `gd.f32[64, 784]` for an array",
    ),
)


OPTIMIZERS = (
    step_of(
        "loss, MLP(), *SPECS",
        A,
        "`train_step` needs an optimizer after the model, got the spec f32[4, 6]",
        "pass an optimizer: `gd.optim.SGD(lr=0.1)`",
    ),
    step_of(
        "loss, MLP(), optim.SGD, *SPECS",
        A,
        "the optimizer is the class `SGD`, not an instance of it",
        "make one: `SGD()`, or `SGD(lr=0.1)`",
    ),
    step_of(
        "loss, MLP(), 0.1, *SPECS",
        A,
        "a `float` is no optimizer",
        "pass an optimizer: `gd.optim.SGD(lr=0.1)`",
    ),
    step_of(
        "loss, MLP(), 'sgd', *SPECS",
        A,
        "a `str` is no optimizer",
        "pass an optimizer: `gd.optim.SGD(lr=0.1)`",
    ),
    step_of(
        "loss, MLP(), torch.optim.SGD([torch.zeros(1)]), *SPECS",
        A,
        "an optimizer of PyTorch cannot be traced",
        "pass an optimizer: `gd.optim.SGD(lr=0.1)`",
        before="import torch",
    ),
    line(
        "optim.SGD(lr='0.1')",
        A,
        "`lr` is a number from 0, or a function of the step, got '0.1'",
        "write `lr=0.1`",
    ),
    line(
        "optim.SGD(lr=-0.1)",
        A,
        "`lr` is a number from 0, or a function of the step, got -0.1",
        "write `lr=0.1`",
    ),
    line(
        "optim.SGD(lr=float('nan'))",
        A,
        "`lr` is a number from 0, or a function of the step, got nan",
        "write `lr=0.1`",
    ),
    line(
        "optim.SGD(momentum='0.9')",
        A,
        "`momentum` is a number from 0, got '0.9'",
        "write `momentum=0.9`",
    ),
    line(
        "optim.SGD(momentum=-0.9)",
        A,
        "`momentum` is a number from 0, got -0.9",
        "write `momentum=0.9`",
    ),
    line(
        "optim.SGD(momentum=True)",
        A,
        "`momentum` is a number from 0, got True",
        "write `momentum=0.9`",
    ),
    line(
        "optim.SGD(nesterov=True)",
        A,
        "`nesterov` needs a momentum and no dampening",
        "give `momentum=0.9`",
    ),
    line(
        "optim.SGD(MLP().parameters())",
        A,
        "`lr` is a number from 0, or a function of the step, got a `dict`",
        "leave the parameters out: `gd.train_step(loss, model,",
    ),
    line(
        "optim.SGD(MLP().parameters(), lr=0.1)",
        A,
        "`SGD` is given `lr` twice, in its place and by name",
        "leave the parameters out: `gd.train_step(loss, model,",
    ),
    line(
        "optim.SGD(learning_rate=0.1)",
        A,
        "`SGD` has no argument `learning_rate`",
        "write `lr=` instead of `learning_rate=`",
    ),
    Wrong(
        "an optimizer that returns only the parameters",
        """
class Descent:
    def init(self, params):
        return {}
    def update(self, params, grads, state, lr):
        return {k: p - 0.1 * grads[k] for k, p in params.items()}  # here
gd.train_step(loss, MLP(), Descent(), *SPECS)
""",
        TraceError,
        (
            "an optimizer's `update` returns the new parameters and its new state, got a `dict`",
            "return both: `return new_params, state`",
        ),
    ),
    Wrong(
        "an optimizer whose update returns nothing",
        """
class Descent:
    def init(self, params):
        return {}
    def update(self, params, grads, state, lr):  # here
        pass
gd.train_step(loss, MLP(), Descent(), *SPECS)
""",
        TraceError,
        (
            "an optimizer's `update` returns the new parameters and its new state, got nothing",
            "return both: `return new_params, state`",
        ),
    ),
)


@pytest.mark.parametrize("case", SPECS + OPTIMIZERS, ids=lambda c: c.typed)
def test_the_error_of_a_wrong_input(case: Wrong, tmp_path):
    if "import torch" in case.source:
        pytest.importorskip("torch")
    check(case, tmp_path)
