"""Wrong models, layers and losses."""

from __future__ import annotations

import pytest
from wrong_input import Wrong, check, check_plain, line, raised, step_of

from gradc.errors import ArgumentError, DTypeError, ShapeError, TraceError, UnsupportedError

A = ArgumentError


def layers(typed: str, spec: str, *says: str) -> Wrong:
    """Layers that do not fit each other, or the data."""
    body = f"""
class Net(nn.Module):
    def __init__(self):
        {typed}
    def __call__(self, x):
        return self.fc2(nn.relu(self.fc1(x)))  # here
gd.train_step(lambda m, x: m(x).sum(), Net(), optim.SGD(), {spec})
"""
    return Wrong(f"{typed} on {spec}", body, ShapeError, says, never=("ranspose", "matmul"))


LAYERS = (
    layers(
        "self.fc1 = nn.Linear(784, 128); self.fc2 = nn.Linear(100, 10)",
        "gd.f32[8, 784]",
        "`fc2` is `nn.Linear(100, 10)`, but its input has 128 features",
        "make it `nn.Linear(128, 10)`",
    ),
    layers(
        "self.fc1 = nn.Linear(784, 128); self.fc2 = nn.Linear(10, 128)",
        "gd.f32[8, 784]",
        "`fc2` is `nn.Linear(10, 128)`, but its input has 128 features",
        "make it `nn.Linear(128, 10)`: the number of inputs comes first",
    ),
    layers(
        "self.fc1 = nn.Linear(784, 128); self.fc2 = nn.Linear(128, 10)",
        "gd.f32[8, 28, 28]",
        "`fc1` is `nn.Linear(784, 128)`, but its input has 28 features",
        "flatten each sample first: `x.reshape(8, 784)`",
    ),
    layers(
        "self.fc1 = nn.Linear(784, 128); self.fc2 = nn.Linear(128, 10)",
        "gd.f32[()]",
        "`fc1` is `nn.Linear(784, 128)`, but its input is a scalar",
        "give it an array whose last axis has 784 elements",
    ),
    Wrong(
        "nn.Sequential(nn.Linear(6, 5), nn.relu, nn.Linear(4, 3))",
        """
net = nn.Sequential(nn.Linear(6, 5), nn.relu, nn.Linear(4, 3))
def net_loss(m, x, y):
    return nn.cross_entropy(m(x), y)  # here
gd.train_step(net_loss, net, optim.SGD(), *SPECS)
""",
        ShapeError,
        (
            "`layers.2` is `nn.Linear(4, 3)`, but its input has 5 features",
            "make it `nn.Linear(5, 3)`",
        ),
        never=("ranspose",),
    ),
    line(
        "nn.Linear(-1, 3)",
        A,
        "`in_features` of `nn.Linear` is a whole number from 0, got -1",
        "pass the number of features",
    ),
    line(
        "nn.Linear(3, 2.5)",
        A,
        "`out_features` of `nn.Linear` is a whole number from 0, got 2.5",
        "pass the number of features",
    ),
    line(
        "nn.Linear('3', 2)",
        A,
        "`in_features` of `nn.Linear` is a whole number from 0, got '3'",
        "pass the number of features",
    ),
    line(
        "nn.Linear(3)",
        A,
        "`Linear` needs `out_features`",
        "call it as `Linear(in_features, out_features, bias=..., *,",
    ),
    line(
        "nn.Linear(3, 2, biases=True)",
        A,
        "`Linear` has no argument `biases`",
        "call it as `Linear(in_features, out_features, bias=..., *,",
    ),
    line(
        "nn.Linear(3, 2, rng='seed')",
        A,
        "`rng` is a NumPy generator or a seed, which is an integer from 0, got 'seed'",
        "write `rng=np.random.default_rng(0)`",
    ),
    line(
        "nn.Linear(3, 2, dtype='int32')",
        DTypeError,
        "parameters are floating-point numbers, so `int32` cannot be their dtype",
        "use `gd.float32` or `gd.float64`",
    ),
    line(
        "nn.Sequential(nn.Linear(3, 2), 'relu')",
        A,
        "what `nn.Sequential` holds is called with an array, got a `str`",
        "pass functions and layers: `nn.relu`",
    ),
    line(
        "nn.Sequential([nn.Linear(3, 2), nn.relu])",
        A,
        "what `nn.Sequential` holds is called with an array, got a `list`",
        "pass the layers one by one: `nn.Sequential(*layers)`",
    ),
    line(
        "nn.Module()(X)",
        UnsupportedError,
        "`Module` does not say what it computes",
        "write `def __call__(self, x): ...` in the class",
    ),
)


def loss_of(body: str, kind: type[BaseException], *says: str) -> Wrong:
    """A loss with a body of its own, whose last line is at fault."""
    *lines, last = [f"    {text}" for text in body.splitlines()]
    text = "\n".join(["def own_loss(model, x, y):", *lines, f"{last}  # here"])
    return Wrong(body, f"{text}\ngd.train_step(own_loss, MLP(), optim.SGD(), *SPECS)", kind, says)


LOSSES = (
    Wrong(
        "a loss without `return`",
        """
def own_loss(model, x, y):  # here
    nn.cross_entropy(model(x), y)
gd.train_step(own_loss, MLP(), optim.SGD(), *SPECS)
""",
        TraceError,
        ("the loss returns nothing", "return a scalar: `return nn.cross_entropy(model(x), y)`"),
    ),
    loss_of("return model(x)", ShapeError),
    loss_of(
        "return nn.cross_entropy(model(x), y), model(x)",
        TraceError,
        "a loss returns a scalar, or a scalar and a dict of metrics, got a tuple of something else",
        'return `loss, {"name": metric}`',
    ),
    loss_of(
        "return [nn.cross_entropy(model(x), y)]",
        TraceError,
        "a loss returns a scalar, or a scalar and a dict of metrics, got a `list`",
        'return `loss, {"name": metric}`',
    ),
    loss_of(
        "return nn.cross_entropy(y, model(x))",
        DTypeError,
        "the scores of `cross_entropy` are real numbers, got i32[4]",
        "exchange them: `nn.cross_entropy(logits, labels)`",
    ),
    loss_of(
        "return nn.cross_entropy(model(x), model(x))",
        DTypeError,
        "the labels of `cross_entropy` are integers, got f32[4, 3]",
        "take the place of the one: `labels.argmax(-1)`",
    ),
    loss_of(
        "return nn.cross_entropy(model(x), y[:, None])",
        ShapeError,
        "`cross_entropy` needs one label for each row of scores, got scores f32[4, 3]",
        "drop the last axis of the labels: `labels[..., 0]`",
    ),
    loss_of(
        "return nn.mse(model(x)[:, :1], y.astype(gd.f32))",
        ShapeError,
        "`mse` needs a target of the prediction's shape, got f32[4, 1] and f32[4]",
        "take the column of the prediction: `prediction[..., 0]`",
    ),
    loss_of(
        "return nn.accuracy(model(x), y) > 0.5",
        DTypeError,
        "the loss must be a real number, got bool[]",
        "cast it: `.astype(gd.float32)`, if it has a gradient at all",
    ),
    step_of(
        "loss, MLP, optim.SGD(), *SPECS",
        A,
        "the model is the class `MLP`, not an instance of it",
        "make one: `MLP()`",
    ),
    step_of(
        "MLP(), loss, optim.SGD(), *SPECS",
        A,
        "`train_step` takes the loss first, then the model",
        "write `gd.train_step(loss, model, optimizer, ...)`",
    ),
    step_of(
        "loss, torch.nn.Linear(6, 3), optim.SGD(), *SPECS",
        A,
        "the model is a `Linear` of PyTorch, which cannot be traced",
        "write it as an `nn.Module` of gradc: layers have the same names",
        before="import torch",
    ),
    step_of(
        "loss, {'w': torch.zeros(3)}, optim.SGD(), *SPECS",
        A,
        "`w` of the model is a `torch` array",
        "convert it to a NumPy array: `np.asarray(...)`, after `.detach()`",
        before="import torch",
    ),
    step_of(
        "loss(MLP(), X, Y), MLP(), optim.SGD(), *SPECS",
        A,
        "`train_step` takes a function first, got a `float32`",
        "pass the function itself: `train_step(f, ...)`, not",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, predict=MLP()",
        A,
        "`predict` is a function of the model and its inputs, which this is not",
        "pass the method of the class: `predict=MLP.__call__`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, predict=MLP().__call__",
        A,
        "`predict` is a function of the model and its inputs, which this is not",
        "pass the method of the class: `predict=MLP.__call__`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, predict=True",
        A,
        "`predict` is a function of the model and its inputs, which this is not",
        "pass the method of the class: `predict=MLP.__call__`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, batch_size=4",
        A,
        "`train_step` has no argument `batch_size`",
        "call it as `train_step(loss, model, optimizer, *specs,",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, name=3",
        A,
        "`name` is a string, got 3",
        'write `name="..."`',
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, target='cuda'",
        A,
        "unknown target 'cuda'",
        "choose one of native, portable, avx512, avx2, neon, sse, scalar",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, cflags='-O1 -g'",
        A,
        "`cflags` is a list of strings, got '-O1 -g'",
        "write `cflags=['-O1', '-g']`",
    ),
    step_of(
        "loss, MLP(), optim.SGD(), *SPECS, cflags=[1]",
        A,
        "`cflags` is a list of strings, got [1]",
        "write `cflags=['1']`",
    ),
    line(
        "gd.program('p', {'w': X}, lambda s: s)",
        A,
        "`program` takes 2 arguments in order (name, state), got 3",
        "give entry points by name: `act=gd.query(act, ...)`",
    ),
    line(
        "gd.program('p', {'w': X}, learn=lambda s: s)",
        TraceError,
        "entry point `learn` must be made with `gd.query` or `gd.update`",
        "write `learn=gd.query(function, ...)`, with a spec for each",
    ),
    Wrong(
        "an update that returns only the state",
        """
def learn(state, x):
    return {'w': state['w'] + x}  # here
gd.program('p', {'w': X}, learn=gd.update(learn, gd.f32[4, 6]))
""",
        TraceError,
        (
            "`learn` must return a pair (new state, outputs), got a `dict`",
            "return `state, outputs`",
        ),
    ),
)


@pytest.mark.parametrize("case", LAYERS + LOSSES, ids=lambda c: c.typed)
def test_the_error_of_a_wrong_input(case: Wrong, tmp_path):
    if "import torch" in case.source:
        pytest.importorskip("torch")
    check(case, tmp_path)


PLAIN = (
    loss_of(
        "return model.forward(x).sum()", AttributeError, "'MLP' object has no attribute 'forward'"
    ),
    loss_of("return model.fc3(x).sum()", AttributeError, "'MLP' object has no attribute 'fc3'"),
)


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c.typed)
def test_an_error_of_the_users_own_code_shows_the_users_frames_alone(case: Wrong, tmp_path):
    check_plain(case, tmp_path)


def test_a_model_may_be_written_with_forward(tmp_path):
    case = line(
        "gd.train_step(loss, Net(), optim.SGD(), *SPECS)",
        Exception,
        before="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)
    def forward(self, x):
        return self.fc(x)
""",
    )
    assert raised(case, tmp_path) is None
