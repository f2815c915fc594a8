"""Every module of PyTorch's own table that has a counterpart here: outputs and gradients are equal.

The table's inputs, in float64; weights are copied from PyTorch's module. PyTorch has the classes on
axis 1 where gradc has them last, and calls an axis `dim`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn

torch: Any = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which the table's module imports
table: Any = pytest.importorskip("torch.testing._internal.common_modules")

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:reduction", "ignore:invalid value"),
]

RENAMED = {"dim": "axis", "start_dim": "start_axis", "end_dim": "end_axis", "keepdim": "keepdims"}
IGNORED = {"inplace", "device", "dtype", "batch_first"}
CLASSES_LAST = ("CrossEntropyLoss", "NLLLoss")
FIRST_ALONE = ("SoftMarginLoss", "PoissonNLLLoss")  # PyTorch has no gradient of these targets

# Inputs that have no counterpart, by module and a word of the settings or of the description.
LEFT_OUT = {
    ("NLLLoss", "ignore_index"): "labels to ignore",
    ("CrossEntropyLoss", "ignore_index"): "labels to ignore",
    ("CrossEntropyLoss", "prob_target"): "labels are integers",
    ("MultiheadAttention", "embed_dim"): "other masks and no weights among its results; see below",
    ("Softmax", "scalar"): "a scalar has no axis",
    ("LogSoftmax", "scalar"): "a scalar has no axis",
    ("Softmin", "scalar"): "a scalar has no axis",
    ("Softplus", "threshold"): "exact everywhere: no threshold",
}


def supported(name: str, given: Any) -> bool:
    settings = given.constructor_input.kwargs
    return not any(
        module == name and ((word in settings and settings[word]) or word in (given.desc or ""))
        for module, word in LEFT_OUT
    )


def inputs() -> list[Any]:
    found = []
    for info in table.module_db:
        name = info.module_cls.__name__
        if not hasattr(nn, name):
            continue
        made = info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=False
        )
        for k, given in enumerate(made):
            if supported(name, given):
                found.append(pytest.param(info.module_cls, given, id=f"{name}-{k}-{given.desc}"))
    return found


def array(value: Any) -> Any:
    return value.detach().numpy() if torch.is_tensor(value) else value


def ours_of(theirs: Any, given: Any) -> Any:
    """The module here, with the weights of PyTorch's."""
    name, call = type(theirs).__name__, given.constructor_input
    options = {RENAMED.get(k, k): array(v) for k, v in call.kwargs.items() if k not in IGNORED}
    if issubclass(getattr(nn, name), nn.Module) and "dtype" in signature(name):
        options["dtype"] = gd.float64
    module = getattr(nn, name)(*map(array, call.args), **options)
    weights = {n: array(p) for n, p in theirs.named_parameters()}
    assert set(weights) == set(module.parameters()), "parameters have PyTorch's names"
    for path, value in weights.items():
        holder, *rest = module, *path.split(".")
        while len(rest) > 1:
            holder = getattr(holder, rest.pop(0))
        assert np.shape(getattr(holder, rest[0])) == value.shape
        setattr(holder, rest[0], value)
    return module


def signature(name: str) -> Any:
    import inspect

    return inspect.signature(getattr(nn, name)).parameters


def is_real(x: Any) -> bool:
    return torch.is_tensor(x) and x.dtype == torch.float64


def outputs_of(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(("theirs", "given"), inputs())
def test_a_module_is_pytorchs(theirs: Any, given: Any) -> None:
    torch.manual_seed(0)
    name = theirs.__name__
    call = given.constructor_input
    module = theirs(*call.args, **call.kwargs).double().eval()
    args, named = given.forward_input.args, dict(given.forward_input.kwargs)
    real = [k for k, a in enumerate(args) if is_real(a)][: 1 if name in FIRST_ALONE else None]
    tensors = [a.clone().requires_grad_() if k in real else a for k, a in enumerate(args)]
    result = outputs_of(module(*tensors, **named))
    ours = ours_of(module, given)
    arrays = [array(a) if torch.is_tensor(a) else _nested(a) for a in args]
    if name in CLASSES_LAST and np.ndim(arrays[0]) > 1:
        arrays[0] = np.moveaxis(arrays[0], 1, -1)
    arrays += [array(named.pop("input"))] if "input" in named else []
    named = {RENAMED.get(k, k): array(v) for k, v in named.items()}
    expected = [array(r) for r in result]
    found = outputs_of(ours(*arrays, **named))
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)

    rng = np.random.default_rng(0)
    weights = [rng.normal(size=np.shape(e)) for e in expected]
    total = sum((r * torch.tensor(w)).sum() for r, w in zip(result, weights, strict=True))
    if not total.requires_grad:
        return
    total.backward()

    def summed(module: Any, *chosen: Any) -> Any:
        full = list(arrays)
        for k, value in zip(real, chosen, strict=True):
            full[k] = value
        outs = outputs_of(module(*full, **named))
        return sum(gd.sum(o * w) for o, w in zip(outs, weights, strict=True))

    wanted: list[Any] = [tensors[k].grad for k in real]
    chosen = [arrays[k] for k in real]
    if not ours.parameters():
        gradients = gd.grad(lambda *c: summed(ours, *c), tuple(range(len(real))))(*chosen)
    else:
        first, *gradients = gd.grad(summed, tuple(range(len(real) + 1)))(ours, *chosen)
        theirs_by_name = {n: p.grad for n, p in module.named_parameters()}
        for path, value in first.parameters().items():
            _compare(path, value, theirs_by_name[path])
    for k, value, want in zip(real, gradients, wanted, strict=True):
        if want is not None and name in CLASSES_LAST and k == 0 and want.dim() > 1:
            want = want.movedim(1, -1)
        _compare(f"argument {k}", value, want)


def _nested(value: Any) -> Any:
    return tuple(map(array, value)) if isinstance(value, tuple) else value


def _compare(what: str, ours: Any, theirs: Any) -> None:
    want = np.zeros(np.shape(ours)) if theirs is None else theirs.numpy()
    np.testing.assert_allclose(ours, want, rtol=1e-8, atol=1e-10, err_msg=what)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masked", ["all", "causal", "mask"])
def test_attention_in_heads_is_pytorchs(bias: bool, masked: str) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 3, bias=bias, batch_first=True).double()
    ours = nn.MultiheadAttention(12, 3, bias, dtype=gd.float64)
    if bias:
        theirs.in_proj_bias.data.normal_()
        ours.in_proj_bias = array(theirs.in_proj_bias)
        ours.out_proj.bias = array(theirs.out_proj.bias)
    ours.in_proj_weight = array(theirs.in_proj_weight)
    ours.out_proj.weight = array(theirs.out_proj.weight)
    q, k, v = (torch.randn(2, n, 12, dtype=torch.float64, requires_grad=True) for n in (5, 7, 7))
    mask = torch.randn(5, 7) > -0.5
    if masked == "causal":
        k = v = q
        mask = torch.ones(5, 5).tril() > 0
    given = None if masked == "all" else ~mask  # PyTorch says what may not be looked at
    out, _ = theirs(q, k, v, attn_mask=given)
    options = {"all": {}, "causal": {"is_causal": True}, "mask": {"mask": array(mask)}}[masked]
    arrays = [array(q)] if masked == "causal" else [array(x) for x in (q, k, v)]
    np.testing.assert_allclose(ours(*arrays, **options), array(out), rtol=1e-9, atol=1e-12)
    out.square().sum().backward()
    found, *gradients = gd.grad(
        lambda m, *a: (m(*a, **options) ** 2).sum(), tuple(range(len(arrays) + 1))
    )(ours, *arrays)
    for name, value in found.parameters().items():
        _compare(name, value, dict(theirs.named_parameters())[name].grad)
    for value, tensor in zip(gradients, (q, k, v), strict=False):
        _compare("argument", value, tensor.grad)


def test_most_of_the_table_has_a_counterpart() -> None:
    """The others need windows, gathers, loops, random numbers, or a layer that does."""
    names = {info.module_cls.__name__ for info in table.module_db}
    missing = {name for name in names if not hasattr(nn, name)}
    for name in missing:
        assert any(word in name for word in NEED_MORE), name


NEED_MORE = (
    "Conv", "Pool", "Pad", "BatchNorm", "InstanceNorm", "LocalResponseNorm", "Embedding", "RNN",
    "GRU", "LSTM", "Transformer", "CTCLoss", "MultiLabelMarginLoss", "LinearCrossEntropyLoss",
    "Softmax2d",
)  # fmt: skip
