"""Looking into a compiled program: nodes, kernels, memory, each tied to the Python it came from.

Enters: what `compile`, `program` or `train_step` returned. Leaves: text and plain data. Always
holds: nothing here changes a program or needs a C compiler; `view` gathers, `text` and `data` only
render.
"""

from .text import kernels_text, memory_text, node_text, summary_text
from .view import EntryView, View, view_of

__all__ = [
    "EntryView",
    "View",
    "kernels_text",
    "memory_text",
    "node_text",
    "summary_text",
    "view_of",
]
