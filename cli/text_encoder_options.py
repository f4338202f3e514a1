"""Options of the commands that work on posters with a backbone, or on texts with a text encoder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from hybrid.cli.options import backbone_options, embedding_options, stack_options

_TEXT_OPTIONS = (
    click.option("--text-encoder", metavar="NAME|FOLDER",
                 help="Text encoder, for texts: a name that hybrid backbones lists, owner/name "
                 "of the Hugging Face Hub, or a folder."),
    click.option("--chunks", type=click.Choice(["first", "mean"]), default="first", show_default=True,
                 help="Of a text that is longer than the encoder reads: only its start, or the mean of all "
                 "its pieces."),
    click.option("--max-length", type=click.IntRange(min=3), metavar="N",
                 help="Tokens of a text that the encoder reads at once.  [default: the encoder's]"),
    click.option("--prefix", metavar="TEXT",
                 help="Put before each text.  [default: what the encoder was trained with]"),
    click.option("--last-layers", type=click.IntRange(min=1), metavar="N", default=1, show_default=True,
                 help="Average the hidden states of the encoder's last N layers before they are pooled."),
)  # fmt: skip
_OWN = ("chunks", "max_length", "prefix", "last_layers")
_TEXT_ENCODER = click.option(
    "--text-encoder", metavar="NAME|FOLDER", help="Text encoder of the embeddings, instead of a backbone."
)  # fmt: skip


def encoder_options(several: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of an extraction, of posters or of texts; one of the two must be named.

    They become those of `hybrid.cli.options.backbone_options`, and `text_encoder` and `text_options`. With
    `several`, there can be several backbones, and a text encoder beside them.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(*args: Any, **values: Any) -> Any:
            from hybrid.extraction.option_rules import check_encoders

            backbone, encoder = values["backbone"], values["text_encoder"]
            check_encoders(backbone or (), encoder, "extract", "explain", both=several)
            values = _with_text_options(values)
            if not several:
                values["engine"] = values["engine"] or ("auto" if encoder else "keras")
            return command(*args, **values)

        return stack_options(_TEXT_OPTIONS, backbone_options(several)(call))

    return decorate


def race_encoder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an extraction for several backbones and several text encoders."""

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.extraction.option_rules import check_encoders

        backbones, encoders = values["backbone"], values["text_encoder"]
        if backbones or encoders:
            check_encoders(backbones, next(iter(encoders), None), "race", both=True)
        # Where none is typed, the library's own default is meant: ImageNet's weights.
        values["weights"] = values["weights"] if backbones else ()
        return command(*args, **_with_text_options(values))

    several = click.option(
        "--text-encoder", metavar="NAME|FOLDER", multiple=True,
        help="Text encoder that takes part, as hybrid extract names it. Can be repeated.",
    )  # fmt: skip
    return stack_options((several, *_TEXT_OPTIONS[1:]), backbone_options(several=True)(call))


def _with_text_options(values: dict[str, Any]) -> dict[str, Any]:
    """The values of the options with `text_options`, made of those of texts and of what posters have, too."""
    from hybrid.types import TextEmbeddingOptions

    same = {name: getattr(values["options"], name) for name in ("precision", "dtype")}
    own = {name: values.pop(name) for name in _OWN}
    return {**values, "text_options": TextEmbeddingOptions(**own, **same)}


def any_embedding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select embeddings, of posters or of texts.

    They become `select`, an `EmbeddingSelector` or a `TextSelector`.
    """

    @functools.wraps(command)
    def call(*args: Any, **values: Any) -> Any:
        from hybrid.extraction.option_rules import check_selection
        from hybrid.types import TextSelector

        encoder, select = values.pop("text_encoder"), values["select"]
        check_selection(encoder, "export")
        if encoder is not None:
            values["select"] = TextSelector(encoder, select.dtype, select.fingerprint)
        return command(*args, **values)

    return stack_options((_TEXT_ENCODER,), embedding_options(call))
