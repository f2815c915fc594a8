"""Losses as layers: objects that hold a loss's options.

Enters: a loss. Leaves: a class whose objects are called with what the loss is called with. Always
holds: a class has PyTorch's name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import user_errors
from . import classification, losses, margins
from .module import Module


class _Loss(Module):
    """A layer that calls `function` with the options it was made with."""

    function: Callable[..., Any]
    signature: inspect.Signature

    @user_errors
    def __init__(self, *options: Any, **named: Any) -> None:
        given = type(self).signature.bind(*options, **named)
        # A function, so that weights of classes are no parameters to train.
        self.loss = partial(type(self).function, **given.arguments)

    @user_errors
    def __call__(self, *arrays: Any) -> Any:
        return self.loss(*arrays)


def _layer(name: str, function: Callable[..., Any]) -> type[_Loss]:
    """The class of a loss, called `name`: what has a default is an option."""
    parameters = inspect.signature(function).parameters.values()
    options = [p for p in parameters if p.default is not p.empty and p.name[0] != "_"]
    signature = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in options])
    return type(
        name,
        (_Loss,),
        {
            "__doc__": f"`nn.{function.__name__}` as a layer.\n\n{inspect.getdoc(function)}",
            "__module__": __name__,
            "__signature__": signature,
            "signature": signature,
            "function": staticmethod(function),
        },
    )


BCELoss = _layer("BCELoss", losses.binary_cross_entropy)
BCEWithLogitsLoss = _layer("BCEWithLogitsLoss", losses.binary_cross_entropy_with_logits)
CosineEmbeddingLoss = _layer("CosineEmbeddingLoss", margins.cosine_embedding)
CrossEntropyLoss = _layer("CrossEntropyLoss", classification.cross_entropy)
GaussianNLLLoss = _layer("GaussianNLLLoss", losses.gaussian_nll)
HingeEmbeddingLoss = _layer("HingeEmbeddingLoss", margins.hinge_embedding)
HuberLoss = _layer("HuberLoss", losses.huber)
KLDivLoss = _layer("KLDivLoss", losses.kl_div)
L1Loss = _layer("L1Loss", losses.l1)
MSELoss = _layer("MSELoss", losses.mse)
MarginRankingLoss = _layer("MarginRankingLoss", margins.margin_ranking)
MultiLabelSoftMarginLoss = _layer("MultiLabelSoftMarginLoss", classification.multilabel_soft_margin)
MultiMarginLoss = _layer("MultiMarginLoss", classification.multi_margin)
NLLLoss = _layer("NLLLoss", classification.nll)
PoissonNLLLoss = _layer("PoissonNLLLoss", losses.poisson_nll)
SmoothL1Loss = _layer("SmoothL1Loss", losses.smooth_l1)
SoftMarginLoss = _layer("SoftMarginLoss", margins.soft_margin)
TripletMarginLoss = _layer("TripletMarginLoss", margins.triplet_margin)
