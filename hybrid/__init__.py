"""Multi-label classification of posters, text and metadata: embeddings, classical heads, one honest report.

The names below are the public API, documented in docs/api.md. They are loaded when first used, so that
``import hybrid`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hybrid._version import __version__

if TYPE_CHECKING:
    from hybrid.audit.audit import audit_catalogue
    from hybrid.catalogue.check import check_catalogue
    from hybrid.catalogue.importers.importer import ImportOptions
    from hybrid.catalogue.importers.importing import import_catalogue
    from hybrid.catalogue.load import load_catalogue
    from hybrid.datasets.sample import write_sample
    from hybrid.deep.options import DeepOptions
    from hybrid.embedding_types import (
        EmbeddingOptions,
        EmbeddingSelector,
        ImportedSelector,
        ImportSettings,
        TextEmbeddingOptions,
        TextSelector,
    )
    from hybrid.errors import HybridError
    from hybrid.extraction.embeddings_frame import embeddings
    from hybrid.extraction.extract import extract_embeddings
    from hybrid.extraction.extract_texts import extract_texts
    from hybrid.extraction.import_embeddings import import_embeddings
    from hybrid.extraction.lookup import load_embeddings
    from hybrid.features.fusion import Fusion
    from hybrid.features.imported import ImportedFeatures
    from hybrid.features.metadata import MetadataFeatures
    from hybrid.features.posters import PosterFeatures
    from hybrid.features.text import TextFeatures
    from hybrid.heads.classifier import HybridClassifier
    from hybrid.heads.make_hybrid import make_hybrid
    from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
    from hybrid.inspection.item import explain_item, explain_run
    from hybrid.inspection.loaded_run import load_run
    from hybrid.report.build import make_report
    from hybrid.runs.experiment import Experiment
    from hybrid.runs.fit_deep import fit_deep
    from hybrid.runs.fit_head import fit_head
    from hybrid.runs.folder import read_run
    from hybrid.runs.predict import predict_catalogue
    from hybrid.runs.tune import tune_backbone, tune_text_encoder
    from hybrid.splitting.methods import SplitOptions, split_catalogue
    from hybrid.splitting.split_file import read_split, write_split
    from hybrid.studies.race.options import RaceOptions
    from hybrid.studies.race.race import race_encoders
    from hybrid.studies.study import Studies, study_run
    from hybrid.tuning.options import TuneOptions
    from hybrid.utils.context import Context
    from hybrid.utils.progress import Progress

# Name → module, in the order of the work.
_MODULES = {
    "Context": "hybrid.utils.context",
    "Progress": "hybrid.utils.progress",
    "HybridError": "hybrid.errors",
    "write_sample": "hybrid.datasets.sample",
    "ImportOptions": "hybrid.catalogue.importers.importer",
    "import_catalogue": "hybrid.catalogue.importers.importing",
    "load_catalogue": "hybrid.catalogue.load",
    "check_catalogue": "hybrid.catalogue.check",
    "SplitOptions": "hybrid.splitting.methods",
    "split_catalogue": "hybrid.splitting.methods",
    "read_split": "hybrid.splitting.split_file",
    "write_split": "hybrid.splitting.split_file",
    "audit_catalogue": "hybrid.audit.audit",
    "EmbeddingOptions": "hybrid.embedding_types",
    "extract_embeddings": "hybrid.extraction.extract",
    "EmbeddingSelector": "hybrid.embedding_types",
    "load_embeddings": "hybrid.extraction.lookup",
    "ImportSettings": "hybrid.embedding_types",
    "import_embeddings": "hybrid.extraction.import_embeddings",
    "ImportedSelector": "hybrid.embedding_types",
    "TextSelector": "hybrid.embedding_types",
    "embeddings": "hybrid.extraction.embeddings_frame",
    "TextEmbeddingOptions": "hybrid.embedding_types",
    "extract_texts": "hybrid.extraction.extract_texts",
    "RaceOptions": "hybrid.studies.race.options",
    "race_encoders": "hybrid.studies.race.race",
    "make_hybrid": "hybrid.heads.make_hybrid",
    "HybridClassifier": "hybrid.heads.classifier",
    "Fusion": "hybrid.features.fusion",
    "PosterFeatures": "hybrid.features.posters",
    "TextFeatures": "hybrid.features.text",
    "ImportedFeatures": "hybrid.features.imported",
    "MetadataFeatures": "hybrid.features.metadata",
    "MultilabelLinearSVC": "hybrid.heads.svm.multilabel_svc",
    "Experiment": "hybrid.runs.experiment",
    "fit_head": "hybrid.runs.fit_head",
    "TuneOptions": "hybrid.tuning.options",
    "tune_text_encoder": "hybrid.runs.tune",
    "tune_backbone": "hybrid.runs.tune",
    "Studies": "hybrid.studies.study",
    "study_run": "hybrid.studies.study",
    "DeepOptions": "hybrid.deep.options",
    "fit_deep": "hybrid.runs.fit_deep",
    "read_run": "hybrid.runs.folder",
    "predict_catalogue": "hybrid.runs.predict",
    "make_report": "hybrid.report.build",
    "load_run": "hybrid.inspection.loaded_run",
    "explain_run": "hybrid.inspection.item",
    "explain_item": "hybrid.inspection.item",
}

__all__ = [
    "Context",
    "DeepOptions",
    "EmbeddingOptions",
    "EmbeddingSelector",
    "Experiment",
    "Fusion",
    "HybridClassifier",
    "HybridError",
    "ImportOptions",
    "ImportSettings",
    "ImportedFeatures",
    "ImportedSelector",
    "MetadataFeatures",
    "MultilabelLinearSVC",
    "PosterFeatures",
    "Progress",
    "RaceOptions",
    "SplitOptions",
    "Studies",
    "TextEmbeddingOptions",
    "TextFeatures",
    "TextSelector",
    "TuneOptions",
    "__version__",
    "audit_catalogue",
    "check_catalogue",
    "embeddings",
    "explain_item",
    "explain_run",
    "extract_embeddings",
    "extract_texts",
    "fit_deep",
    "fit_head",
    "import_catalogue",
    "import_embeddings",
    "load_catalogue",
    "load_embeddings",
    "load_run",
    "make_hybrid",
    "make_report",
    "predict_catalogue",
    "race_encoders",
    "read_run",
    "read_split",
    "split_catalogue",
    "study_run",
    "tune_backbone",
    "tune_text_encoder",
    "write_sample",
    "write_split",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hybrid' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
