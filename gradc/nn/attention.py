"""Attention: mixtures of values, weighted by how well a query agrees with each key.

Enters: queries, keys and values. Leaves: one mixture for each query. Always holds: PyTorch's
formulas and names; a mask says what may be looked at.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32, is_bool
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, spec_of
from .init import Generator, check_size, generator, xavier_uniform, zeros
from .layers import Linear
from .module import Module


@user_errors
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """`softmax(query @ key.T * scale + mask) @ value` over the last two axes.

    By Vaswani et al. (2017). `query` is [..., L, E], `key` [..., S, E], `value` [..., S, D], of
    float32 or float64; [..., L, D] comes out. `scale` is 1 / sqrt(E) unless given. `mask`
    broadcasts to [..., L, S]: bools, true where a key may be looked at, or numbers to add;
    `is_causal` lets query i look at the keys up to i. A query that may look at nothing gives NaN.
    Gradient: by the chain rule. Raises `ShapeError` if the axes do not fit.
    """
    if np.ndim(query) < 2 or np.shape(query)[-1] != np.shape(key)[-1]:
        message = f"a query {spec_of(query)!r} has no keys in {spec_of(key)!r}"
        raise error(ShapeError, "GC338", message, helps=("give both the same last axis",))
    factor = 1 / math.sqrt(np.shape(query)[-1]) if scale is None else scale
    scores = (query * factor) @ fn.matrix_transpose(key)
    if is_causal:
        seen = np.tril(np.ones(np.shape(scores)[-2:], bool))
        scores = fn.where(seen, scores, -math.inf)
    if mask is not None:
        allowed = is_bool(spec_of(mask).dtype)
        scores = fn.where(mask, scores, -math.inf) if allowed else scores + mask
    return fn.softmax(scores, -1) @ value


class MultiheadAttention(Module):
    """Attention in `num_heads` subspaces, as `torch.nn.MultiheadAttention(batch_first=True)`.

    Called with `query` [samples, L, embed_dim] and, unless they are the query, `key` and `value`
    [samples, S, embed_dim], of float32 or float64; [samples, L, embed_dim] comes out. `mask` and
    `is_causal` are those of `nn.scaled_dot_product_attention`. `in_proj_weight` is [3 * embed_dim,
    embed_dim], for query, key and value in turn, drawn as `nn.init.xavier_uniform` from `rng`;
    `in_proj_bias` and `out_proj.bias` start at 0, None with `bias=False`; all are of `dtype`.
    Gradients: by the chain rule. Raises `ArgumentError` if the heads do not divide `embed_dim`;
    called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        check_size("MultiheadAttention", "embed_dim", embed_dim)
        check_size("MultiheadAttention", "num_heads", num_heads)
        if not num_heads or embed_dim % num_heads:
            message = f"{num_heads} heads do not divide an embedding of {embed_dim}"
            raise fail(ArgumentError, "GC337", message, helps=("choose a divisor",))
        rng = generator(rng)
        self.num_heads = num_heads
        shape = (3 * embed_dim, embed_dim)
        self.in_proj_weight: Any = xavier_uniform(shape, rng=rng, dtype=dtype)
        self.in_proj_bias: Any = zeros(3 * embed_dim, dtype=dtype) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if bias:
            self.out_proj.bias = zeros(embed_dim, dtype=dtype)

    @user_errors
    def __call__(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        key = query if key is None else key
        value = key if value is None else value
        width = np.shape(self.in_proj_weight)[-1]
        q, k, v = (
            self._heads(x, slice(part * width, (part + 1) * width))
            for part, x in enumerate((query, key, value))
        )
        mixed = scaled_dot_product_attention(q, k, v, mask, is_causal)
        return self.out_proj(fn.reshape(fn.swapaxes(mixed, 1, 2), np.shape(query)))

    def _heads(self, x: Any, rows: slice) -> Any:
        """`x` projected: [samples, heads, length, width of a head]."""
        width = np.shape(self.in_proj_weight)[-1]
        if np.ndim(x) != 3 or np.shape(x)[-1] != width:
            message = f"`MultiheadAttention` takes [samples, length, {width}], got {spec_of(x)!r}"
            raise error(ShapeError, "GC338", message, helps=("put the samples first",))
        y = x @ self.in_proj_weight[rows].T
        y = y if self.in_proj_bias is None else y + self.in_proj_bias[rows]
        samples, length, _ = np.shape(x)
        return fn.swapaxes(fn.reshape(y, (samples, length, self.num_heads, -1)), 1, 2)
