"""Posters, text and metadata to labels: embeddings, classical heads, and one honest report.

The names below are loaded when first used, so that ``import hybrid`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid.catalogue import load_catalogue as load_catalogue
    from hybrid.experiment import fit_deep as fit_deep
    from hybrid.experiment import fit_head as fit_head
    from hybrid.extract import extract_embeddings as extract_embeddings
    from hybrid.heads.crossfit import HybridClassifier as HybridClassifier
    from hybrid.pipeline import make_hybrid as make_hybrid
    from hybrid.splits import make_split as make_split

__version__ = "0.1.0"

_WHERE = {
    "load_catalogue": "hybrid.catalogue",
    "make_split": "hybrid.splits",
    "extract_embeddings": "hybrid.extract",
    "make_hybrid": "hybrid.pipeline",
    "HybridClassifier": "hybrid.heads.crossfit",
    "fit_head": "hybrid.experiment",
    "fit_deep": "hybrid.experiment",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hybrid' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
