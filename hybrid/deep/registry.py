"""Registry of the networks that can be trained: one record each. No Keras here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hybrid.backbones import BACKBONES, BackboneSpec, configure, get_backbone
from hybrid.deep.options import DeepOptions, parse_units
from hybrid.errors import SettingError, unknown_name
from hybrid.extraction.text_lookup import TEXT_EMBEDDING
from hybrid.utils.options import Rule, given_options, list_unused

HEAD = "head"
ALL = "all"
FUSED = "fused"
TEXTS = ("text-encoder", "text-embeddings")


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Parameters
    ----------
    name : str
    trains : str
        ``"head"``: the body is frozen. ``"all"``: all of it is trained, too. Else as ``--unfreeze``: the
        number of its top blocks, or the name of the lowest block that is trained.
    optimizer : str
        ``"adam"``, ``"nadam"``, ``"rmsprop"`` or ``"sgd"``.
    learning_rate : float
    momentum : float, default=0.0
        Of SGD.
    augment : bool, default=False
        Whether posters are flipped, sheared and zoomed at random; see `hybrid.deep.network.augmentation`.

    Examples
    --------
    >>> Stage("fine", "2", "sgd", 1e-4, momentum=0.9).augment
    False
    """

    name: str
    trains: str
    optimizer: str
    learning_rate: float
    momentum: float = 0.0
    augment: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """Record of a network: all that is needed to build and train it.

    Parameters
    ----------
    name : str
        As ``--backbone`` has it.
    backbone : BackboneSpec or None
        Body of the network; None if it has no posters as input.
    head_units : tuple of int
        Sizes of the dense layers with ReLU between the embedding and the labels.
    dropout : float
        Rate after each of them; without any, on the embedding.
    stages : tuple of Stage
    batch_size : int, default=32
    flatten : bool, default=False
        The embedding is the body's last feature map as one vector, not pooled.
    blocks : tuple of str, default=("poster",)
        Inputs. If there are others than ``"poster"``, the network reads the blocks' matrices. Of `fused` the
        usual ones: the options, or the catalogue, say which it reads.

    Examples
    --------
    >>> spec = get_network("scratch")
    >>> spec.pretrained, spec.trains_body, [stage.optimizer for stage in spec.stages]
    (False, True, ['nadam', 'sgd'])
    """

    name: str
    backbone: BackboneSpec | None
    head_units: tuple[int, ...]
    dropout: float
    stages: tuple[Stage, ...]
    batch_size: int = 32
    flatten: bool = False
    blocks: tuple[str, ...] = ("poster",)

    @property
    def body(self) -> BackboneSpec:
        """The backbone; a SettingError if there is none."""
        if self.backbone is None:
            raise SettingError(f"{self.name}: expected a network that has posters as input.")
        return self.backbone

    @property
    def fused(self) -> bool:
        """Whether it reads the blocks' matrices."""
        return self.blocks != ("poster",)

    @property
    def pretrained(self) -> bool:
        """Whether there are pretrained weights; else the body is trained from scratch."""
        return self.backbone is not None and bool(self.backbone.application)

    @property
    def reads_embeddings(self) -> bool:
        """Whether the first stage can train on pooled embeddings out of the cache."""
        frozen = self.stages[0].trains == HEAD and not self.stages[0].augment
        return frozen and self.backbone is not None and not self.flatten

    @property
    def trains_body(self) -> bool:
        """Whether a stage changes the body."""
        return any(stage.trains != HEAD for stage in self.stages)

    @property
    def pools_posters(self) -> bool:
        """Whether it reads the pooled embedding of an item's posters; else each poster by itself."""
        return self.fused and self.backbone is not None and not self.trains_body


_SPECS = (
    NetworkSpec(
        name="scratch",
        backbone=BACKBONES["scratch"],
        head_units=(),
        dropout=0.5,
        stages=(
            Stage("rough", ALL, "nadam", 3e-4),
            Stage("fine", ALL, "sgd", 1e-4, momentum=0.9),
        ),
        batch_size=128,
    ),
    NetworkSpec(
        name="inception",
        backbone=BACKBONES["inception"],
        head_units=(1024, 1024),
        dropout=0.5,
        stages=(
            Stage("top", HEAD, "rmsprop", 1e-3),
            Stage("fine", "2", "sgd", 1e-4, momentum=0.9),
        ),
    ),
    NetworkSpec(
        name="vgg16-fc",
        backbone=BACKBONES["vgg16"],
        head_units=(128, 64),
        dropout=0.5,
        stages=(Stage("top", HEAD, "rmsprop", 1e-3),),
        flatten=True,
    ),
    NetworkSpec(
        name="vgg16-conv",
        backbone=BACKBONES["vgg16"],
        head_units=(128, 64),
        dropout=0.5,
        stages=(
            Stage("top", HEAD, "rmsprop", 1e-3),
            Stage("fine", "block5", "sgd", 1e-4, momentum=0.9, augment=True),
        ),
        flatten=True,
    ),
    NetworkSpec(
        name="small",
        backbone=BACKBONES["small"],
        head_units=(),
        dropout=0.5,
        stages=(Stage("all", ALL, "rmsprop", 1e-3, augment=True),),
    ),
    NetworkSpec(
        name="text",
        backbone=None,
        head_units=(256,),
        dropout=0.5,
        stages=(Stage("all", HEAD, "adam", 1e-3),),
        blocks=("text",),
    ),
    NetworkSpec(
        name=FUSED,
        backbone=BACKBONES["inception"],
        head_units=(512,),
        dropout=0.5,
        stages=(Stage("top", HEAD, "adam", 1e-3),),
        blocks=("poster", "text", "metadata"),
    ),
)
NETWORKS: dict[str, NetworkSpec] = {spec.name: spec for spec in _SPECS}


def network_names() -> list[str]:
    """Return all names that ``fit-deep --backbone`` accepts: the study's networks, and every backbone.

    Examples
    --------
    >>> network_names()[:3]
    ['scratch', 'inception', 'vgg16-fc']
    """
    return [*NETWORKS, *(name for name in BACKBONES if name not in NETWORKS)]


def get_network(name: str) -> NetworkSpec:
    """Return the record of a network; a backbone that has none gets a head and two stages.

    Parameters
    ----------
    name : str
        See `network_names`.

    Raises
    ------
    SettingError
        If it is unknown; the message lists close matches.

    Examples
    --------
    >>> [(stage.name, stage.trains) for stage in get_network("mobilenet-075").stages]
    [('top', 'head'), ('fine', '2')]
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if name not in BACKBONES:
        raise unknown_name("network", name, network_names())
    return NetworkSpec(
        name=name,
        backbone=BACKBONES[name],
        head_units=(),
        dropout=0.5,
        stages=(
            Stage("top", HEAD, "adam", 1e-3),
            Stage("fine", "2", "sgd", 1e-4, momentum=0.9),
        ),
    )


def configure_network(spec: NetworkSpec, options: DeepOptions) -> NetworkSpec:
    """Return the record of a network with the options' values in it.

    Parameters
    ----------
    spec : NetworkSpec
    options : DeepOptions

    Raises
    ------
    SettingError
        If an option is wrong, or the network does not support it.

    Examples
    --------
    >>> configure_network(get_network("vgg16"), DeepOptions(unfreeze="0", dropout=0.2)).dropout
    0.2
    """
    options.check()
    spec = _with_blocks(spec, options)
    stages = _unfrozen(spec, options.unfreeze)[: options.stages]
    if problems := _unused(spec, stages, options):
        raise SettingError("\n".join(problems))
    rates = (options.learning_rate, options.fine_learning_rate)
    return replace(
        spec,
        backbone=_configured(spec, options),
        head_units=spec.head_units
        if options.head_units is None
        else parse_units(options.head_units),
        dropout=spec.dropout if options.dropout is None else options.dropout,
        batch_size=options.batch_size or spec.batch_size,
        stages=tuple(
            stage if rate is None else replace(stage, learning_rate=rate)
            for stage, rate in zip(stages, rates, strict=False)
        ),
    )


def reads_posters(network: str, options: DeepOptions) -> bool:
    """Whether a network has a body for posters.

    Examples
    --------
    >>> reads_posters("scratch", DeepOptions()), reads_posters("text", DeepOptions())
    (True, False)
    """
    return _with_blocks(get_network(network), options).backbone is not None


def _unused(spec: NetworkSpec, stages: tuple[Stage, ...], options: DeepOptions) -> list[str]:
    """One message for each option that would have no effect on this network."""
    name, posters = spec.name, spec.backbone is not None
    fused = name == FUSED
    absent = f"is not among {', '.join(spec.blocks)}"
    blind = f"the block poster {absent}" if fused else f"{name} reads no posters"
    between = [stage for stage in stages if stage.trains not in (HEAD, ALL) and not stage.augment]
    rules = (
        Rule(("body",), fused, f"{name} is not fused, which alone takes another body"),
        Rule(("blocks", *TEXTS), fused, f"{name} is not fused, which alone reads chosen blocks"),
        Rule(("body", "input-size", "weights"), posters, blind),
        Rule(("unfreeze",), posters or not fused, blind),
        Rule(TEXTS, TEXT_EMBEDDING in spec.blocks, f"the block {TEXT_EMBEDDING} {absent}"),
        Rule(("unfreeze",), spec.pretrained, f"all of {name} learns, as it is not pretrained"),
        Rule(("poster-pooling",), posters, blind),
        Rule(
            ("poster-pooling",),
            replace(spec, stages=stages).pools_posters,
            f"{name} reads each poster of an item by itself",
        ),
        Rule(("fine-learning-rate",), len(stages) > 1, f"{name} has one stage here"),
        Rule(
            ("cache-frozen",),
            bool(between),
            f"no stage of {name} trains a part of the body on posters as they are; the output of a body "
            "that is frozen as a whole is cached anyway",
        ),
    )
    usual = DeepOptions()
    fields = ("body", "input_size", "weights", "unfreeze", "fine_learning_rate", "cache_frozen")
    values = {
        field.replace("_", "-"): (getattr(options, field), getattr(usual, field))
        for field in (*fields, "poster_pooling", "blocks", "text_encoder", "text_embeddings")
    }
    return list_unused(rules, given_options(values, "fit-deep"))


def _with_blocks(spec: NetworkSpec, options: DeepOptions) -> NetworkSpec:
    """The record with the blocks that the network `fused` reads; without that of posters it has no body."""
    if spec.name != FUSED:
        return spec
    blocks = options.blocks or spec.blocks
    if options.blocks is None and (options.text_encoder or options.text_embeddings):
        blocks = (*blocks[:1], TEXT_EMBEDDING, *blocks[1:])
    if set(blocks) <= {"poster"}:
        raise SettingError(
            "--blocks: expected another block beside poster, found none. --backbone NAME is a network on "
            "posters alone."
        )
    return replace(spec, blocks=blocks, backbone=spec.backbone if "poster" in blocks else None)


def _configured(spec: NetworkSpec, options: DeepOptions) -> BackboneSpec | None:
    if spec.backbone is None:
        return None
    body = get_backbone(options.body) if options.body else spec.backbone
    if body.has_own_weights:
        raise SettingError(
            f"--body: expected a backbone that hybrid backbones lists, which can be trained, found "
            f"{body.name!r}."
        )
    if spec.fused and not (body.application or options.weights):
        raise SettingError(
            f"--body: expected a pretrained backbone, found {body.name!r}. Name the run that trained it: "
            "--weights PATH"
        )
    return configure(body, input_size=options.input_size)


def _unfrozen(spec: NetworkSpec, unfreeze: str | None) -> tuple[Stage, ...]:
    if unfreeze is None or not spec.pretrained:  # the latter is refused
        return spec.stages
    top, fine = spec.stages[0], Stage("fine", unfreeze, "sgd", 1e-4, momentum=0.9)
    if unfreeze == "0":
        return (top,)
    own = spec.stages[1] if len(spec.stages) > 1 else fine
    return (top, replace(own, trains=unfreeze))
