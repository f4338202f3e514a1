"""What is known of a text encoder before it is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hybrid.errors import SettingError

if TYPE_CHECKING:
    from hybrid.backbones.engine import EngineChoice

POOLINGS = ("mean", "cls", "max", "sqrt-length")
CHUNKS = ("first", "mean")
TEXT_RULES_VERSION = 1  # of how a text becomes tokens and tokens an embedding


@dataclass(frozen=True)
class Architecture:
    """A transformer encoder of the BERT family.

    Parameters
    ----------
    family : {"bert", "roberta", "mpnet", "distilbert"}
    layers, hidden, heads, intermediate : int
        Number of layers, width H, attention heads, width of the feed-forward layers.
    activation : {"gelu", "gelu-tanh", "relu"}
    epsilon : float
        Of the layer normalisations.
    positions : int
        Maximum number of tokens of a text.
    vocabulary : int
        Number of tokens that have an embedding.
    relative_buckets : int, default=0
        Buckets of relative positions that add a bias to the attention (MPNet); 0 for none.

    Examples
    --------
    >>> Architecture("bert", 6, 384, 12, 1536, "gelu", 1e-12, 512, 30522).head_size
    32
    """

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    activation: str
    epsilon: float
    positions: int
    vocabulary: int
    relative_buckets: int = 0

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def gflops_per_token(self) -> float:
        """1e9 operations a token, 2 for each multiply-add of the dense layers."""
        layer = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        return 2e-9 * self.layers * layer


@dataclass(frozen=True, kw_only=True)
class TextEncoderSpec(ABC):
    """A text encoder of any kind: its files, and how a text becomes an embedding.

    Subclasses say what the network is (`dimension`, `vocabulary`, `positions`, `network_fields`);
    `hybrid.text_encoders.encoder.load_text_engine` loads it.

    Parameters
    ----------
    name : str
        Name on the Hub, or of the folder.
    folder : Path
        Where its files are, ``tokenizer.json`` among them.
    max_length : int
        Tokens of a text that the encoder reads, special ones included; the others are cut off.
    normalise : bool
        Whether embeddings are scaled to unit length.
    tokenizer : str
        SHA-256 of the file ``tokenizer.json``, in hex.
    prefix : str, default=""
        Put before each text, as some encoders are trained with (``"passage: "``).
    licence : str, default="unknown"
        Of the weights, as the model's own folder or the registry says it.
    special_tokens : bool, default=True
        Whether a text gets those of the tokenizer, at its start and end.
    """

    # Of what kind it is, and why its layers cannot be averaged; empty where they can.
    one_layer: ClassVar[str] = ""

    name: str
    folder: Path
    max_length: int
    normalise: bool
    tokenizer: str
    prefix: str = ""
    licence: str = "unknown"
    special_tokens: bool = True

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length D of an embedding."""

    @property
    def place(self) -> Path:
        """What to name it by: its folder, or its file where that is of one network."""
        return self.folder

    @property
    @abstractmethod
    def vocabulary(self) -> int | None:
        """Number of tokens that have an embedding; None where only the network knows it."""

    @property
    @abstractmethod
    def positions(self) -> int | None:
        """Largest possible `max_length`; None where there is none, or only the network knows it."""

    @property
    def tokenizer_file(self) -> Path:
        """The file ``tokenizer.json``."""
        return self.folder / "tokenizer.json"

    def provenance_bytes(self) -> bytes | None:
        """What the weights have learnt from, as a store keeps it; None of an encoder that is given."""
        return None

    @abstractmethod
    def network_fields(self) -> dict[str, Any]:
        """What of the network changes an embedding: at least ``"weights"`` and ``"pooling"``."""

    def average_layers(self, count: int) -> TextEncoderSpec:
        """The encoder that averages the hidden states of its last layers before the pooling.

        Parameters
        ----------
        count : int
            Number of layers; 1 for the last one alone.

        Raises
        ------
        SettingError
            If it has fewer layers, or is of a kind whose layers cannot be averaged.
        """
        if count == 1:
            return self
        raise SettingError(
            f"--last-layers: expected 1, as {self.name} is {self.one_layer}, found {count}. Layers can be "
            "averaged of an encoder of the BERT family, a folder with config.json and model.safetensors."
        )

    def choose_engine(self, engine: str = "keras", precision: str = "auto") -> EngineChoice:
        """Choose an inference engine and a precision, as `hybrid.backbones.engines.choose_engine` does."""
        from hybrid.backbones.engines import choose_engine

        return choose_engine(engine, precision)

    def fingerprint_fields(
        self, *, chunks: str = "first", precision: str = "float32", dtype: str = "float16"
    ) -> dict[str, Any]:
        """Everything that changes an embedding; its hash is the fingerprint in the cache.

        Parameters
        ----------
        chunks : {"first", "mean"}, default="first"
            What of a long text is embedded.
        precision : {"float32", "bfloat16", "float16"}, default="float32"
            Of the network's products.
        dtype : {"float16", "float32"}, default="float16"
            Of the stored embeddings.

        Returns
        -------
        dict
            Can be written as JSON.
        """
        return {
            "kind": "text",
            **self.network_fields(),
            "tokenizer": self.tokenizer,
            "normalise": self.normalise,
            "max_length": self.max_length,
            "prefix": self.prefix,
            "chunks": chunks,
            "text_rules_version": TEXT_RULES_VERSION,
            "precision": precision,
            "dtype": dtype,
            "dimension": self.dimension,
        }


@dataclass(frozen=True, kw_only=True)
class TransformerSpec(TextEncoderSpec):
    """A transformer encoder of the BERT family, as sentence-transformers saves it.

    Parameters
    ----------
    architecture : Architecture
    pooling : {"mean", "cls", "max", "sqrt-length"}
        From the vectors of the tokens to one. ``"cls"``: that of the first. ``"sqrt-length"``: their sum,
        divided by the square root of their number.
    weights : str
        SHA-256 of the file ``model.safetensors``, in hex.
    last_layers : int, default=1
        The hidden states of so many of the last layers are averaged, token by token, before the pooling.
    """

    architecture: Architecture
    pooling: str
    weights: str
    last_layers: int = 1

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.architecture.hidden

    @property
    def vocabulary(self) -> int:
        """Number of tokens that have an embedding."""
        return self.architecture.vocabulary

    @property
    def positions(self) -> int:
        """Largest possible `max_length`."""
        return self.architecture.positions

    def network_fields(self) -> dict[str, Any]:
        """See `TextEncoderSpec.network_fields`."""
        # The last layer alone has no field: it is what embeddings of earlier versions were made with.
        averaged = {"last_layers": self.last_layers} if self.last_layers > 1 else {}
        return {
            "network": asdict(self.architecture),
            "weights": self.weights,
            "pooling": self.pooling,
            **averaged,
        }

    def average_layers(self, count: int) -> TransformerSpec:
        """See `TextEncoderSpec.average_layers`."""
        if not 1 <= count <= self.architecture.layers:
            raise SettingError(
                f"--last-layers: expected 1 to {self.architecture.layers}, the layers of {self.name}, found "
                f"{count}."
            )
        return replace(self, last_layers=count)
