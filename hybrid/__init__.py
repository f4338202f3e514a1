"""Posters, text and metadata to labels: embeddings, classical heads, and one honest report.

The names below are loaded when first used, so that ``import hybrid`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hybrid._version import __version__ as __version__

if TYPE_CHECKING:
    from hybrid.catalogue import load_catalogue as load_catalogue
    from hybrid.extraction.extract import extract_embeddings as extract_embeddings
    from hybrid.heads.classifier import HybridClassifier as HybridClassifier
    from hybrid.heads.make_hybrid import make_hybrid as make_hybrid
    from hybrid.runs.fit_deep import fit_deep as fit_deep
    from hybrid.runs.fit_head import fit_head as fit_head
    from hybrid.splitting.splits import make_split as make_split

_WHERE = {
    "load_catalogue": "hybrid.catalogue.catalogue",
    "make_split": "hybrid.splitting.splits",
    "extract_embeddings": "hybrid.extraction.extract",
    "make_hybrid": "hybrid.heads.make_hybrid",
    "HybridClassifier": "hybrid.heads.classifier",
    "fit_head": "hybrid.runs.fit_head",
    "fit_deep": "hybrid.runs.fit_deep",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hybrid' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
