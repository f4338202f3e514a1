"""Options, selectors, plans and summaries of embeddings; `hybrid.types` has them, too."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.catalogue_types import BadRow, Finding


@dataclass(frozen=True)
class EmbeddingOptions:
    """Options of an extraction that change the embeddings, besides the backbone and its weights.

    Parameters
    ----------
    layer : str, default="last"
        Layer whose output is pooled; several, such as ``"last+conv_pw_12_relu"``, are put side by side.
    pooling : {"avg", "max", "gem"}, optional
        Global pooling; by default the backbone's.
    input_size : (int, int), optional
        Height and width of the input in pixels; by default those of the run whose weights are used, else the
        backbone's.
    fit : {"squash", "pad", "crop"}, default="squash"
        How a poster is resized to the input size. See also `hybrid.backbones.configure`.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        Numeric precision of the computation. ``"auto"``: that of the embeddings in the cache; without
        any, bfloat16 where processor or GPU have it and the embeddings of some posters have a cosine of
        at least 0.9995 with those in float32; else float32.
    dtype : {"float16", "float32"}, default="float16"
        Data type of the stored embeddings.
    mean, std : (float, float, float), optional
        Of red, green and blue, for a backbone in an ONNX file; by default what is said in or beside it.

    Examples
    --------
    >>> EmbeddingOptions(fit="pad").precision
    'auto'
    """

    layer: str = "last"
    pooling: str | None = None
    input_size: tuple[int, int] | None = None
    fit: str = "squash"
    precision: str = "auto"
    dtype: str = "float16"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class TextEmbeddingOptions:
    """Options of an extraction of texts that change the embeddings, besides the encoder.

    Parameters
    ----------
    chunks : {"first", "mean"}, default="first"
        Of a text that is longer than the encoder reads: only its start is embedded; or the mean of all its
        pieces.
    max_length : int, optional
        Tokens that the encoder reads at once, from 3; by default the encoder's.
    prefix : str, optional
        Put before each text; by default what the encoder was trained with, where that is known.
    last_layers : int, default=1
        The hidden states of so many of the encoder's last layers are averaged, token by token, and then
        pooled; for encoders of the BERT family.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        As in `EmbeddingOptions`.
    dtype : {"float16", "float32"}, default="float16"
        Data type of the stored embeddings.

    Examples
    --------
    >>> TextEmbeddingOptions(chunks="mean").precision
    'auto'
    """

    chunks: str = "first"
    max_length: int | None = None
    prefix: str | None = None
    last_layers: int = 1
    precision: str = "auto"
    dtype: str = "float16"


@dataclass(frozen=True)
class EmbeddingSelector:
    """Selects one set of embeddings in a cache; what is left open must be unambiguous.

    Parameters
    ----------
    backbone : str, optional
        Name of the backbone; by default the one that was extracted for the catalogue.
    weights : str, optional
        As for `extract_embeddings`; needed where one backbone was extracted with several weights.
    dtype : {"float16", "float32"}, optional
        Needed where both were extracted.
    fingerprint : str, optional
        The fingerprint of the embeddings, or its first digits, where nothing else distinguishes two sets.

    Examples
    --------
    >>> from hybrid.types import EmbeddingSelector
    >>> EmbeddingSelector("inception", dtype="float16").names_any
    True
    >>> EmbeddingSelector().names_any
    False
    """

    backbone: str | None = None
    weights: str | None = None
    dtype: str | None = None
    fingerprint: str | None = None

    @property
    def names_any(self) -> bool:
        """Whether any field is set."""
        return self != EmbeddingSelector()


@dataclass(frozen=True)
class TextSelector:
    """Selects one set of text embeddings in a cache; what is left open must be unambiguous.

    Parameters
    ----------
    text_encoder : str, optional
        Its name or folder; by default the one that was extracted for the catalogue.
    dtype : {"float16", "float32"}, optional
        Needed where both were extracted.
    fingerprint : str, optional
        The fingerprint of the embeddings, or its first digits, where nothing else distinguishes two sets.

    Examples
    --------
    >>> TextSelector("all-MiniLM-L6-v2").fingerprint is None
    True
    """

    text_encoder: str | None = None
    dtype: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class ImportedSelector:
    """Selects one set of imported embeddings in a cache; what is left open must be unambiguous.

    Parameters
    ----------
    block : str
        The name that they were imported under.
    fingerprint : str, optional
        The fingerprint of the embeddings, or its first digits, where several have that name.

    Examples
    --------
    >>> ImportedSelector.parse("clip#4f0c"), ImportedSelector.parse("clip").fingerprint
    (ImportedSelector(block='clip', fingerprint='4f0c'), None)
    """

    block: str
    fingerprint: str | None = None

    @classmethod
    def parse(cls, name: str) -> ImportedSelector:
        """Read the name of a block, with ``#`` and the first digits of a fingerprint after it or not."""
        block, _, digits = name.partition("#")
        return cls(block, digits or None)


@dataclass(frozen=True)
class ImportSettings:
    """How embeddings that were made elsewhere are imported.

    Parameters
    ----------
    of : {"item", "poster", "text"}, default="item"
        What a vector belongs to, which is its key in the cache: the id of the item, the content of its
        poster, or its text. A changed poster or text lacks its embedding.
    dtype : {"float16", "float32"}, optional
        Data type of the stored embeddings; by default float16 where the file's is, else float32.
    add : bool, default=False
        Add further items to the embeddings that the cache has under that name, made by the same encoder.
    licence : str, optional
        Of the encoder's weights; reports and the model card name it.
    trained_on : {"none", "unknown"}, optional
        ``"none"``: the encoder has learnt from no item of the catalogue. By default it cannot be told, as
        audits then say.

    Examples
    --------
    >>> ImportSettings().of
    'item'
    """

    of: str = "item"
    dtype: str | None = None
    add: bool = False
    licence: str | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class ImportedSummary:
    """Summary of an import of embeddings.

    Of the `rows` of the file, `missing` have no vector (NaN), `unnamed` no id, and `repeated` are there
    twice; `added` embeddings were new to the cache, `present` were there. `items` counts those of the
    catalogue and `embedded` those with an embedding now; `lacking` are the ids of the others. `unknown` are
    ids that the catalogue does not have: they are kept where `of` is ``"item"``, and else left out.
    """

    block: str
    of: str
    fingerprint: str
    dimension: int
    dtype: str
    licence: str
    trained_on: str
    rows: int
    missing: int
    unnamed: int
    repeated: int
    added: int
    present: int
    items: int
    embedded: int
    lacking: tuple[str, ...]
    unknown: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ExtractSummary:
    """Summary of an extraction, for one backbone.

    `rows` counts catalogue rows, `embedded` those with an embedding now; `images`, `hits` and `computed`
    count different images, `left` those beyond the limit; `bad` lists the rows without a usable poster.
    `seconds` are those of this backbone alone, recorded as the cost of its embeddings: loading it, its
    batches, its share of reading and decoding; 0 where nothing was computed. `rate` is posters a second
    of them, loading aside. `peak_mib` is that of the process. Of one of several shards (`shard`, such as
    ``"3/16"``) all are counts of its items; `others` counts the items that are left to the other shards.
    """

    backbone: str
    fingerprint: str
    weights: str
    engine: str
    precision: str
    device: str
    rows: int
    embedded: int
    images: int
    hits: int
    computed: int
    left: int
    bad: tuple[BadRow, ...]
    seconds: float
    rate: float
    peak_mib: float
    shard: str | None = None
    others: int = 0


@dataclass(frozen=True)
class ExtractPlan:
    """What `hybrid extract` would do for one backbone: as in `ExtractSummary`, and the estimate.

    `to_compute` images would be computed, `left` are beyond the limit; that takes about `seconds`,
    loading aside, and `bytes` of the disk.
    """

    backbone: str
    fingerprint: str
    weights: str
    engine: str
    precision: str
    device: str
    images: int
    hits: int
    to_compute: int
    left: int
    seconds: float
    bytes: int
    shard: str | None = None
    others: int = 0


@dataclass(frozen=True)
class TextExtractPlan:
    """What `hybrid extract` would do with one text encoder.

    `texts` counts different texts, `missing` items without any. The other fields are as in `ExtractPlan` and
    `TextExtractSummary`; `longer` is counted among the `tried` texts on which the rate was measured.
    """

    text_encoder: str
    fingerprint: str
    engine: str
    precision: str
    device: str
    licence: str
    rows: int
    missing: int
    texts: int
    hits: int
    to_compute: int
    left: int
    tried: int
    longer: int
    max_length: int
    chunks: str
    prefix: str
    last_layers: int
    seconds: float
    bytes: int
    findings: tuple[Finding, ...] = ()
    shard: str | None = None
    others: int = 0


@dataclass(frozen=True)
class TextExtractSummary:
    """Summary of an extraction with one text encoder.

    `rows` counts catalogue rows, `embedded` those with an embedding now, `missing` those without a text;
    `texts`, `hits` and `computed` count different texts, `left` those beyond the limit. `longer` of the
    computed ones have more than `max_length` tokens. `findings` tell of both in words, with examples.
    Seconds, rate (texts a second) and memory are as in `ExtractSummary`.
    """

    text_encoder: str
    fingerprint: str
    engine: str
    precision: str
    device: str
    licence: str
    rows: int
    embedded: int
    missing: int
    texts: int
    hits: int
    computed: int
    left: int
    longer: int
    max_length: int
    chunks: str
    prefix: str
    last_layers: int
    seconds: float
    rate: float
    peak_mib: float
    findings: tuple[Finding, ...] = ()
    shard: str | None = None
    others: int = 0
