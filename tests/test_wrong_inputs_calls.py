"""Wrong inputs to what is compiled: calls, data, state, the C compiler."""

from __future__ import annotations

import pytest
from wrong_input import Wrong, check, check_plain, raised

from gradc.errors import (
    ArgumentError,
    BuildError,
    CheckpointError,
    DataError,
    DTypeError,
    NonFiniteError,
    ShapeError,
)

A = ArgumentError


def on_step(typed: str, kind: type[BaseException], *says: str, before: str = "") -> Wrong:
    return Wrong(typed, f"step = training_step()\n{before}\n{typed}  # here", kind, says)


def on_trainer(typed: str, kind: type[BaseException], *says: str, before: str = "") -> Wrong:
    text = f"trainer = gd.Trainer(training_step())\n{before}\n{typed}  # here"
    return Wrong(typed, text, kind, says)


CALLS = (
    on_step(
        "step(X + 1j, Y + 0.5)",
        DTypeError,
        "`x` must be f32[4, 6], got complex64[4, 6]; `y` must be i32[4], got f64[4]",
        "convert it: `x.astype(np.float32)`",
    ),
    on_step(
        "step(X * 1e300 * 1e10, Y)",
        DataError,
        "`x[0, 0]` is 1.0000000000000001e+305, which does not fit `f32`",
        "use numbers in its range, or compile for a wider dtype",
        before="X = X.astype(float) + 1e-5",
    ),
    on_step(
        "step(X, Y.astype(np.int64) + 2**31)",
        DataError,
        "`y[0]` is 2147483648, which does not fit `i32`",
        "use numbers in its range, or compile for a wider dtype",
    ),
    on_step(
        "step(X, Y.astype(np.float32))",
        DTypeError,
        "`y` must be i32[4], got f32[4]",
        "convert it: `y.astype(np.int32)`",
    ),
    on_step(
        "step(X[:, :5], Y[:3])",
        ShapeError,
        "`x` must be f32[4, 6], got f32[4, 5]; `y` must be i32[4], got i32[3]",
        "pass an array of shape [4, 6], or compile for the shape you have",
    ),
    on_step(
        "step((X, Y))",
        ShapeError,
        "`step` takes 2 arguments (x, y), got 1",
        "call it as `step(x, y)`",
    ),
    on_step(
        "step(X)", ShapeError, "`step` takes 2 arguments (x, y), got 1", "call it as `step(x, y)`"
    ),
    on_step(
        "step(X, Y, 0.1)",
        ShapeError,
        "`step` takes 2 arguments (x, y), got 3",
        "give `lr=...` by name",
    ),
    on_step(
        "step(X, Y, rate=0.1)", A, "`step` has no argument `rate`", "write `lr=` instead of `rate=`"
    ),
    on_step(
        "step(X, Y, lr='0.1')",
        DTypeError,
        "`lr` must be a number of dtype `f32`, got a `str`",
        "pass a number: `lr=0.1`",
    ),
    on_step("step(X, Y + 3)", DataError, "`y[0]` is 3, outside 0..2", "use values from 0 to 2"),
    on_step(
        "step(torch.zeros(4, 6, requires_grad=True), Y)",
        DTypeError,
        "`x` is not an array",
        "take a torch tensor off its graph: `x.detach().cpu().numpy()`",
        before="import torch",
    ),
    on_step(
        "step.many((X, Y), [0, 1, 2, 3])",
        ShapeError,
        "`order` must be [steps, 4] indices, got i64[4]",
        "give a row of 4 indices for each step: `order.reshape(-1, 4)`",
    ),
    on_step(
        "step.many((X, Y), np.zeros((1, 4)))",
        DTypeError,
        "`order` holds sample indices, which are integers, got f64[1, 4]",
        "convert it: `order.astype(np.int64)`",
    ),
    on_step(
        "step.many((X, Y), [[0, 1, 2, 4]])",
        DataError,
        "`order` names sample 4, outside 0..3",
        "use indices from 0 to 3",
    ),
    on_step(
        "step.predict(X)",
        A,
        "this step was made without `predict`",
        "pass `predict=Model.__call__` to `gd.train_step`",
    ),
    on_step(
        "step.for_batch('64')",
        A,
        "a batch has a whole number of rows, at least one, got '64'",
        "pass an integer",
    ),
    on_step(
        "step.params['fc1.weigth']",
        KeyError,
        "the model has no parameter `fc1.weigth`",
        "write `fc1.weight`",
    ),
    on_step(
        "step.params['fc1.weight'] = np.zeros((6, 5), np.float32)",
        ShapeError,
        "`params.fc1.weight` must be f32[5, 6], got f32[6, 5]",
        "reshape it, if its elements are in that order: `.reshape(5, 6)`",
    ),
    on_step(
        "step.params['fc1.weight'] = np.zeros((5, 6), complex)",
        DTypeError,
        "`params.fc1.weight` must be f32[5, 6], got complex128[5, 6]",
        "convert it: `.astype(np.float32)`",
    ),
    on_step(
        "step.params['fc3.weight'] = X",
        KeyError,
        "the model has no parameter `fc3.weight`",
        "write `fc2.weight`",
    ),
    on_step(
        "step.state['params.fc1.bias'] = np.zeros(6)",
        ShapeError,
        "`params.fc1.bias` must be f32[5], got f64[6]",
        "pass an array of shape [5], or compile for the shape you have",
    ),
    Wrong(
        "a compiled function's argument",
        "f = gd.compile(np.tanh, gd.f32[3])\nf([1, 2])  # here",
        ShapeError,
        (
            "`x` must be f32[3], got i64[2]",
            "pass an array of shape [3], or compile for the shape you have",
        ),
    ),
    Wrong(
        "an unknown entry point",
        "p = gd.program('p', {'w': X}, act=gd.query(lambda s: s['w']))\np.learn()  # here",
        AttributeError,
        ("program `p` has no entry point `learn`", "call one that it has: `act`"),
    ),
    Wrong(
        "check_grad of integers",
        "gd.check_grad(lambda x: x.sum(), Y)  # here",
        DTypeError,
        ("no argument is a floating-point number", "pass floats: `x.astype(np.float64)`"),
    ),
    Wrong(
        "grad of a matrix",
        "gd.grad(lambda x: x * 2)(X)  # here",
        ShapeError,
        ("the loss must be a scalar, got f32[4, 6]", "reduce it, for example by `.mean()`"),
    ),
    Wrong(
        "grad at an integer",
        "gd.grad(lambda x: x * 2)(3)  # here",
        DTypeError,
        (
            "the gradient with respect to `x` is asked for, which is i64[]",
            "convert it to a floating-point number first",
        ),
    ),
    Wrong(
        "grad of too few arguments",
        "gd.grad(lambda x, y: x * y)(3.0)  # here",
        A,
        ("the function `<lambda>` takes (x, y), got 1 value", "give one value for each of (x, y)"),
    ),
)
DATA = (
    on_trainer(
        "trainer.fit(X, Y)",
        A,
        "`fit` takes the data as one argument, got two arrays",
        "give a tuple: `fit((x, y))`",
    ),
    on_trainer(
        "trainer.fit(X, Y, epochs=5)",
        A,
        "`Trainer.fit` is given `epochs` twice, in its place and by name",
        "give arrays as one tuple: `fit((x, y), epochs=5)`",
    ),
    on_trainer(
        "trainer.fit((X, Y), batch_size=32)",
        A,
        "`Trainer.fit` has no argument `batch_size`",
        "give arrays as one tuple: `fit((x, y), epochs=5)`",
    ),
    on_trainer(
        "trainer.fit((X, Y), epochs='5')",
        A,
        "`epochs` is a non-negative integer, got '5'",
        "write an integer: `epochs=5`",
    ),
    on_trainer(
        "trainer.fit((X, Y), epochs=-1)",
        A,
        "`epochs` is a non-negative integer, got -1",
        "write an integer: `epochs=5`",
    ),
    on_trainer(
        "trainer.fit((X, Y), lr='0.1')",
        A,
        "`lr` is a number, got '0.1'",
        "write a number: `lr=0.1`",
    ),
    on_trainer(
        "trainer.fit((X, Y), validation=0.2)",
        DataError,
        "validation is a tuple of arrays or an iterable of batches, got a `float`",
        "give arrays as a tuple, `(x, y)`",
    ),
    on_trainer(
        "trainer.fit((X, Y), callbacks=print)",
        A,
        "`callbacks` is a list of functions or `Callback`s",
        "write `callbacks=[...]`",
    ),
    on_trainer(
        "trainer.fit([X, Y])",
        DataError,
        "batch 0 has 1 array, `wrong` takes 2",
        "give arrays as a tuple, `(x, y)`: a list is taken for a list of",
    ),
    on_trainer(
        "trainer.fit({'x': X, 'y': Y})",
        DataError,
        "data is a tuple of arrays or an iterable of batches, got a `dict`",
        "give arrays as a tuple, `(x, y)`",
    ),
    on_trainer(
        "trainer.fit(3)",
        DataError,
        "data is a tuple of arrays or an iterable of batches, got a `int`",
        "give arrays as a tuple, `(x, y)`",
    ),
    on_trainer(
        "trainer.fit((X, Y[:3]))",
        DataError,
        "all arrays need the same number of rows",
        "give one row of each array for each sample",
    ),
    on_trainer("trainer.fit((X[:0], Y[:0]))", DataError, "data is empty", "pass at least one row"),
    on_trainer(
        "trainer.fit((X[:, :5], np.eye(4)))",
        ShapeError,
        "`data[0]` is f32[4, 5], `wrong` takes f32[4, 6], with any number of rows; `data[1]` is",
        "reshape it, if its elements are in that order: `.reshape(-1, 6)`",
    ),
    on_trainer(
        "trainer.fit((X.astype(complex), Y * 1.5))",
        DTypeError,
        "`data[0]` must be f32[4, 6], with any number of rows, got complex128",
        "convert it: `data[0].astype(np.float32)`",
    ),
    on_trainer(
        "trainer.fit((X, Y.astype(np.int64) - 2**40))",
        DataError,
        "`data[1][0]` is -1099511627776, which does not fit `i32`",
        "use numbers in its range, or compile for a wider dtype",
    ),
    on_trainer(
        "trainer.fit((X, Y + 7))", DataError, "`y[0]` is 7, outside 0..2", "use values from 0 to 2"
    ),
    on_trainer(
        "trainer.fit((X / 0, Y), progress=False)",
        NonFiniteError,
        "the loss of `wrong` became nan in epoch 1, step 1",
        "mend or leave out the rows of the data that are not finite",
        before="np.seterr(all='ignore')",
    ),
    on_trainer(
        "trainer.evaluate(X, Y)",
        A,
        "`Trainer.evaluate` takes 1 argument in order (data), got 2",
        "give arrays as one tuple: `evaluate((x, y))`",
    ),
    on_trainer(
        "trainer.predict(X)",
        A,
        "this step was made without `predict`",
        "pass `predict=Model.__call__` to `gd.train_step`",
    ),
    on_trainer(
        "trainer.fit((X, Y), resume=True)",
        A,
        "`resume` needs the `checkpoint` to continue from",
        "give the path that the run was saved to: `checkpoint=`",
    ),
    on_trainer(
        "trainer.load('no-such-file')",
        CheckpointError,
        "cannot read checkpoint `no-such-file`",
        "give the path of a file that `save` or `fit` wrote",
    ),
    Wrong(
        "gd.Trainer(MLP())",
        "gd.Trainer(MLP())  # here",
        A,
        (
            "a trainer takes a compiled step, got a `MLP`",
            "make one first: `gd.train_step(loss, model, optimizer, ...)`",
        ),
    ),
    Wrong(
        "gd.Trainer(loss)",
        "gd.Trainer(loss)  # here",
        A,
        (
            "a trainer takes a compiled step, got a `function`",
            "make one first: `gd.train_step(loss, model, optimizer, ...)`",
        ),
    ),
)
COMPILERS = (
    Wrong(
        "a flag the compiler refuses",
        "training_step(cflags=['-O0', '-fno-such-flag'])  # here",
        BuildError,
        (
            "refuses `-fno-such-flag`",
            "leave `-fno-such-flag` out of `cflags`",
        ),
    ),
    Wrong(
        "a compiler that is not there",
        "training_step(compiler='no-such-cc')  # here",
        BuildError,
        (
            "the C compiler `no-such-cc` (given as `compiler`) was not found",
            "name a compiler that is installed, or leave it out to have one",
        ),
    ),
)


@pytest.mark.parametrize("case", CALLS + DATA + COMPILERS, ids=lambda c: c.typed)
def test_the_error_of_a_wrong_input(case: Wrong, tmp_path):
    if "import torch" in case.source:
        pytest.importorskip("torch")
    check(case, tmp_path)


PLAIN = (
    on_step("step.lr = 0.1", AttributeError, "property 'lr' of 'TrainStep' object has no setter"),
    on_step("step.foo", AttributeError, "'TrainStep' object has no attribute 'foo'"),
)


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c.typed)
def test_pythons_own_errors_show_no_frame_of_gradc(case: Wrong, tmp_path):
    check_plain(case, tmp_path)


def test_assigning_to_a_parameter_copies_into_the_state(tmp_path):
    typed = """
step = training_step()
weight = np.arange(30, dtype=np.float64).reshape(5, 6)
step.params["fc1.weight"] = weight
weight[0, 0] = 77
step.state["params.fc1.bias"] = [1, 2, 3, 4, 5]
assert step.params["fc1.weight"].dtype == np.float32
assert (step.params["fc1.weight"] == np.arange(30).reshape(5, 6)).all()
assert step.params["fc1.bias"].tolist() == [1, 2, 3, 4, 5]
step(X, Y)
"""
    assert raised(Wrong("assignment", typed, Exception), tmp_path) is None
