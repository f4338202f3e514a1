"""Schemas of the blocks of features and their fusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from hybrid.extraction.imported_stores import OF
from hybrid.features import (
    ImportedFeatures,
    MetadataFeatures,
    PosterFeatures,
    TextEmbeddingFeatures,
    TextFeatures,
)
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.text import SEGMENTERS
from hybrid.features.tfidf import CHARACTERS, CODE_POINTS
from hybrid.features.tfidf.terms import CharTerms, WordTerms
from hybrid.model_file.arrays import ArrayWriter
from hybrid.model_file.kinds import (
    Array,
    Flag,
    Kind,
    Maybe,
    OneOf,
    Ragged,
    Real,
    Row,
    Several,
    Table,
    Texts,
    Whole,
    Word,
)
from hybrid.model_file.place import Place, shown
from hybrid.model_file.schema import WORKERS, Object, Schema, register
from hybrid.types import POSTER_POOLINGS
from hybrid.utils.counts import counted

HEXADECIMAL = set("0123456789abcdef")
LONGEST = 2**10  # words or characters of an n-gram
NAMES = Several(Word())
READ: dict[str, Kind] = {
    "n_features_in_": Whole(1, size="F"),
    "feature_names_in_": Texts(size="F"),
    "_sklearn_output_config": Table(Maybe(Word(("default",)))),
}


class Csr:
    """A CSR matrix, whose numbers of columns and rows SciPy follows without a look at their bounds."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        return {
            "shape": list(value.shape),
            "data": out.add(value.data),
            "indices": out.add(value.indices),
            "indptr": out.add(value.indptr),
        }

    def read(self, plain: Any, at: Place) -> sparse.csr_matrix:
        """See `Kind`."""
        if not isinstance(plain, dict) or set(plain) != {"shape", "data", "indices", "indptr"}:
            at.refuse("a sparse matrix (shape, data, indices, indptr)", shown(plain))
        rows, columns = Row((Whole(0, 2**31 - 1),) * 2).read(plain["shape"], at.inside("shape"))
        own = at.of_object()
        own.sizes.update(columns=columns, ends=rows + 1)
        data = Array("float32 float64", "entries").read(plain["data"], own.inside("data"))
        kind = Array("int32 int64", "entries", low=0, below="columns")
        indices = kind.read(plain["indices"], own.inside("indices"))
        ends = Array("int32 int64", "ends", low=0).read(plain["indptr"], own.inside("indptr"))
        if ends[0] or ends[-1] != len(data) or (ends[1:] < ends[:-1]).any():
            own.inside("indptr").refuse(f"row ends that rise from 0 to {len(data):,}", "others")
        return sparse.csr_matrix((data, indices, ends), shape=(rows, columns))


class WordSequences:
    """Numbered sequences of numbers; their hash table is made anew."""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        pool, bounds = value.parts()
        return Ragged("int32").write(np.split(pool, bounds[1:-1]) if len(value) else [], out)

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        from hybrid.features.tfidf.vocabulary import Sequences

        values, lengths = Ragged("int32").read_joined(plain, at)
        return Sequences.of(values, np.append(0, np.cumsum(lengths)))


class Tokens:
    """Column → token → its place among those of all columns."""

    def write(self, value: Mapping[str, Mapping[str, int]], out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        return {
            column: {
                "tokens": Texts().write(list(places), out),
                "places": out.add(np.fromiter(places.values(), np.int64, len(places))),
            }
            for column, places in value.items()
        }

    def read(self, plain: Any, at: Place) -> dict[str, dict[str, int]]:
        """See `Kind`."""
        if not isinstance(plain, dict):
            at.refuse("an object", shown(plain))
        found, taken = {}, [np.empty(0, np.int64)]
        for column, part in plain.items():
            inside = at.inside(column)
            if not isinstance(part, dict) or set(part) != {"tokens", "places"}:
                inside.refuse("tokens and their places", shown(part))
            tokens = Texts().read(part["tokens"], inside.inside("tokens")).tolist()
            places = Array("int64", "_").read(part["places"], inside.inside("places"))
            found[column] = dict(zip(tokens, places.tolist(), strict=False))
            if not len(found[column]) == len(tokens) == len(places):
                inside.refuse(f"{len(places):,} different tokens", f"{len(found[column]):,}")
            taken.append(places)
        together = np.sort(np.concatenate(taken))
        if (together != np.arange(len(together))).any():
            at.refuse(f"each place from 0 to {len(together) - 1:,} once", "others")
        return found


class Hexadecimal:
    """The fingerprint of a store, which is the name of its folder; may be empty."""

    def write(self, value: str, out: ArrayWriter) -> str:
        """See `Kind`."""
        return value

    def read(self, plain: Any, at: Place) -> str:
        """See `Kind`."""
        if type(plain) is not str or not HEXADECIMAL.issuperset(plain):
            at.refuse("a fingerprint of hexadecimal digits", shown(plain))
        return plain


class UsersCache:
    """The folder of the embeddings: no file leads to one, it is the user's who loads the model."""

    usual = PosterFeatures().cache

    def write(self, value: str, out: ArrayWriter) -> str:
        """See `Kind`."""
        return self.usual

    def read(self, plain: Any, at: Place) -> str:
        """See `Kind`."""
        Word().read(plain, at)
        return self.usual


MATRIX = OneOf(
    {"dense": Array("float32 float64", "_ _"), "sparse": Csr()},
    lambda matrix: "sparse" if sparse.issparse(matrix) else "dense",
)


def _finish_matrix(matrix: FusionMatrix, at: Place) -> None:
    rows = {block.shape[0] for _, block in matrix.blocks}
    if len(rows) != 1 or len(matrix.weights) != len(matrix.blocks):
        at.refuse("blocks of as many rows, and a weight of each", "others")


def _finish_terms(terms: Any, at: Place) -> None:
    """Terms are numbers of columns, which compiled loops follow without a look at their bounds."""
    grams = terms.grams_ if isinstance(terms.grams_, list) else [terms.grams_]
    if len(terms.columns_) != sum(map(len, grams)) + 1 or terms.columns_[-1] != -1 or not grams:
        at.inside("columns_").refuse("a column of each n-gram, and -1", "others")


def _finish_text(block: TextFeatures, at: Place) -> None:
    kinds = [type(terms) for terms in block.terms_]
    if kinds not in ([WordTerms], [WordTerms, CharTerms]):
        at.inside("terms_").refuse("words, and n-grams of characters or none", f"{len(kinds)}")
    if list(map(len, block.idf_)) != [len(terms.names_) for terms in block.terms_]:
        at.inside("idf_").refuse("a weight of each term", "others")


def _finish_metadata(block: MetadataFeatures, at: Place) -> None:
    if len(block._number_columns()) != len(block.mean_) or not set(block.years_) <= set(
        block.numeric
    ):
        at.refuse(
            counted(len(block.mean_), "column of numbers", "columns of numbers"),
            f"{len(block._number_columns())}",
        )


def columns_of(fusion: Fusion) -> int:
    """Columns of the matrix of a fitted fusion."""
    return sum(_width(block) + 1 for _, block in fusion.fitted_)


def _width(block: Any) -> int:
    if isinstance(block, TextFeatures):
        return sum(map(len, block.idf_))
    if isinstance(block, MetadataFeatures):
        return sum(map(len, block.tokens_.values())) + 2 * len(block.mean_)
    return len(block.mean_)


READING = Whole(CODE_POINTS, CHARACTERS)
TERMS: dict[str, Kind] = {
    "reading": READING,
    "names_": Texts(size="T"),
    "texts_": Array("int64", "T"),
    "columns_": Array("int32", "_", low=-1, below="T"),
}
_BLOCKS = Several(
    Row(
        (
            Word(),
            Object(
                (
                    *("TextFeatures", "MetadataFeatures", "PosterFeatures"),
                    *("TextEmbeddingFeatures", "ImportedFeatures"),
                )
            ),
        )
    )
)
register(
    Schema(
        FusionMatrix,
        {"blocks": Several(Row((Word(), MATRIX))), "weights": Several(Real())},
        finish=_finish_matrix,
    ),
    Schema(
        WordTerms,
        {
            "longest": Whole(1, LONGEST),
            "min_df": Whole(),
            "max_features": Maybe(Whole()),
            "spaced_out": Flag(),
        },
        {**TERMS, "grams_": Several(WordSequences())},
        finish=_finish_terms,
    ),
    Schema(
        CharTerms,
        {
            "shortest": Whole(1, LONGEST),
            "longest": Whole(1, LONGEST),
            "min_df": Whole(),
            "max_features": Maybe(Whole()),
        },
        {**TERMS, "grams_": WordSequences()},
        finish=_finish_terms,
    ),
    Schema(
        TextFeatures,
        {
            "columns": NAMES,
            "max_ngram": Whole(1, LONGEST),
            "max_chars": Whole(0, LONGEST),
            "min_df": Whole(),
            "max_features": Maybe(Whole()),
            "sublinear_tf": Flag(),
            "segmenter": Word(SEGMENTERS),
            "n_jobs": Maybe(WORKERS),
        },
        {
            **READ,
            "terms_": Several(Object(("WordTerms", "CharTerms"))),
            "idf_": Several(Array("float32", "_", positive=True)),
        },
        optional=tuple(READ),
        finish=_finish_text,
    ),
    Schema(
        MetadataFeatures,
        {
            "numeric": NAMES,
            "categorical": NAMES,
            "lists": NAMES,
            "separator": Word(),
            "min_count": Whole(1),
            "year_bin": Whole(1, 2**31),
            "dates": NAMES,
        },
        {
            **READ,
            "years_": NAMES,
            "tokens_": Tokens(),
            "logarithmic_": Array("bool", "numbers"),
            "mean_": Array("float64", "numbers"),
            "scale_": Array("float64", "numbers", positive=True),
        },
        optional=tuple(READ),
        finish=_finish_metadata,
    ),
    Schema(
        PosterFeatures,
        {
            "cache": UsersCache(),
            "fingerprint": Hexadecimal(),
            "workers": Maybe(WORKERS),
            "pooling": Word(tuple(POSTER_POOLINGS)),
            "unit_length": Flag(),
        },
        {**READ, "mean_": Array("float32", "D"), "scale_": Array("float32", "D", positive=True)},
        optional=(*READ, "unit_length"),
    ),
    Schema(
        TextEmbeddingFeatures,
        {
            "cache": UsersCache(),
            "fingerprint": Hexadecimal(),
            "columns": NAMES,
            "prefix": Word(),
            "unit_length": Flag(),
        },
        {**READ, "mean_": Array("float32", "D"), "scale_": Array("float32", "D", positive=True)},
        optional=(*READ, "unit_length"),
    ),
    Schema(
        ImportedFeatures,
        {
            "cache": UsersCache(),
            "fingerprint": Hexadecimal(),
            "of": Word(OF),
            "columns": NAMES,
            "workers": Maybe(WORKERS),
        },
        {**READ, "mean_": Array("float32", "D"), "scale_": Array("float32", "D", positive=True)},
        optional=tuple(READ),
    ),
    Schema(
        Fusion,
        {"blocks": _BLOCKS, "weights": Maybe(Table(Real()))},
        {**READ, "fitted_": _BLOCKS},
        optional=tuple(READ),
    ),
)
