"""`hybrid explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hybrid.cli.options import OutputFile, Project, common_options, encoding_option, posters_option
from hybrid.cli.output import show, tell_catalogue
from hybrid.cli.path_types import LocalPath
from hybrid.cli.report import named_catalogue, show_own_catalogue
from hybrid.utils.counts import counted
from hybrid.utils.options import Rule, given_options, list_unused

if TYPE_CHECKING:
    from hybrid.explain.channels import FeatureVisualisation
    from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
    from hybrid.explain.importance import GenreImportance
    from hybrid.inspection.item import RunExplanation
    from hybrid.report.item_card import ItemCard


@click.command("explain")
@click.argument("run", type=LocalPath())
@click.argument("item", metavar="[ID]", required=False)
@common_options("catalogue", "cache", "runs", "seed", "workers", "force")
@click.option(
    "--genre",
    "genres",
    multiple=True,
    help="Genre to explain; can be given several times.  [default: all, or those of the item]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Words, fields and posters for and against each genre.",
)
@click.option(
    "--rank",
    type=click.Choice(["unit", "mean"]),
    default="unit",
    show_default=True,
    help="Without ID: order by coefficient, or by mean contribution to the items that have the word.",
)
@click.option(
    "--map",
    "mapped",
    is_flag=True,
    help="With ID: saliency maps of the poster; needs the backbone's weights.",
)
@click.option(
    "--occlude", is_flag=True, help="Check --map by occlusion of the poster, patch by patch."
)
@click.option(
    "--features",
    is_flag=True,
    help="Without ID: feature visualisation of the most important channels of backbone and text encoder.",
)
@click.option(
    "--channels",
    "most",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --features: maximum number of channels.  [default: 24; 8 with --html, for their images]",
)
@click.option(
    "--weights",
    multiple=True,
    help="Weights of the backbone, or one for each block.  [default: as the run recorded]",
)
@click.option("--html", type=OutputFile(), help="With ID or --features, a page to write.")
@posters_option
@encoding_option
def command(
    project: Project,
    run: Path,
    item: str | None,
    genres: tuple[str, ...],
    top: int,
    rank: str,
    mapped: bool,
    occlude: bool,
    features: bool,
    most: int | None,
    weights: tuple[str, ...],
    html: Path | None,
    posters: Path | None,
    encoding: str,
) -> None:
    """Feature importance of RUN, or an explanation of its prediction for the item ID of --catalogue.

    RUN is a folder, or the name of a run in --runs. By default the items are those of the catalogue that it
    was fitted on, which is known by its hash.

    For linear heads, such as that of fit-svm, whose score is a sum of contributions of words, fields,
    posters and text embeddings. For deep baselines on posters or several blocks: with ID, the probabilities
    and what each block adds, and with --map Grad-CAM of the poster. Without ID, --features lists the most
    important channels of the backbone and the posters that activate them most, of both kinds of runs, and
    those of a text encoder with their texts; with --html, the images of posters, too.
    """
    from hybrid.inspection.item import explain_item, explain_run
    from hybrid.inspection.loaded_run import MapOptions, load_run
    from hybrid.types import ColumnOptions

    _check_usage(item, mapped, occlude, features, html, weights, most)
    options = ColumnOptions(encoding=encoding, posters=posters)
    opened = load_run(project.find_run(run), named_catalogue(project), options, project.context)
    tell_catalogue(opened.catalogue)
    written = f"\n\n{html.resolve()}" if html else ""
    if features:
        from hybrid.inspection.feature_visualisation import visualise_features

        found = visualise_features(
            opened,
            genres,
            top=top,
            most=most,
            weights=weights,
            html=html,
            context=project.context,
        )
        show(project.json, found, _features_text(found) + written, opened.catalogue)
    elif item is None:
        table = explain_run(opened, genres, top=top, rank=rank)
        show(project.json, table, _table_text(table), opened.catalogue)
    else:
        maps = MapOptions(weights, occlude) if mapped else None
        card = explain_item(opened, item, genres, top=top, html=html, maps=maps)
        show(project.json, card, _card_text(card, top) + written, opened.catalogue)


show_own_catalogue(command)


def _check_usage(
    item: str | None,
    mapped: bool,
    occlude: bool,
    features: bool,
    html: Path | None,
    weights: tuple[str, ...],
    most: int | None,
) -> None:
    """Raise for options that cannot be combined, or would have no effect."""
    rules = (
        Rule(("rank",), item is None and not features, "only the table without ID is ordered"),
        Rule(
            ("weights",),
            mapped or (features and html is not None),
            "they are read for --map, and for --features with --html, alone",
        ),
    )  # fmt: skip
    given = given_options({"rank": ("unit", "unit"), "weights": (weights, ())}, "explain")
    problems = list_unused(rules, given)
    if html is not None and item is None and not features:
        problems.append("--html: expected an ID, since the page is of one item, or --features.")
    if mapped and item is None:
        problems.append("--map: expected an ID, since the map is of one poster.")
    if occlude and not mapped:
        problems.append("--occlude: expected --map, which it checks.")
    if features and item is not None:
        problems.append("--features: expected no ID, since a backbone's channels are of the run.")
    if most is not None and not features:
        problems.append("--channels: expected --features, which lists them.")
    if problems:
        raise click.UsageError("\n".join(problems))


def _table_text(table: RunExplanation) -> str:
    by = "coefficient" if table.rank == "unit" else "mean contribution"
    head = (
        f"{table.run}: feature importance for each genre. Words and fields: mean contribution to the score "
        f"of the items that have them, and in parentheses their number, of {counted(table.items, 'item')} "
        f"that the run was fitted on; ordered by {by}. Posters and text embeddings: contribution of each."
    )
    return "\n".join([head, *table.notes, *(_genre_text(view) for view in table.genres)])


def _genre_text(view: GenreImportance) -> str:
    if not view.learnt:
        return f"\n{view.genre}: not fitted, since all items have this label or none has"
    lines = [f"\n{view.genre}"]
    for side in ("for", "against"):
        for block, sides in view.features.items():
            said = [f"{f.name} {f.mean:+.3f} ({f.items})" for f in sides[side]]
            lines += _line(f"{side}, {block}", said)
        for block, items in (view.posters | view.embeddings).items():
            said = [f"{p.id} {p.contribution:+.3f}" for p in items[side]]
            lines += _line(f"{side}, {block}s of", said)
    return "\n".join(lines)


def _line(label: str, said: list[str]) -> list[str]:
    """A line, or none where `said` is empty."""
    return [f"  {label:<19} {', '.join(said)}"] if said else []


def _card_text(card: ItemCard, top: int) -> str:
    from hybrid.report.item_card import compared_words, split_sentence

    title = f"{card.title} ({card.id})" if card.title else card.id
    lines = [f"{title}, {split_sentence(card)}", *card.notes]
    lines.append(f"predicted by {card.run}: {', '.join(card.given) or 'no label'}")
    if card.labels is not None:
        lines.append(f"true: {', '.join(card.labels) or 'no label'}")
    if card.missing_poster:
        lines.append(f"no poster: {card.missing_poster}")
    chosen = [score for score in card.scores if score.genre in card.detailed]
    lines += [_score_text(score, card, top) for score in chosen]
    for source, found in (("posters", card.neighbours), ("texts", card.nearest_texts)):
        if found:
            lines.append(f"\nnearest {source} by cosine similarity, among {compared_words(card)}")
        lines += [
            f"  {n.cosine:.2f}  {n.title or n.id} ({n.id}): {', '.join(n.labels)}" for n in found
        ]
    return "\n".join(lines)


def _score_text(score: ScoreDecomposition | GenrePrediction, card: ItemCard, top: int) -> str:
    from hybrid.explain.contributions import ScoreDecomposition, SharedPrediction
    from hybrid.report.item_card import first_summand, map_sentence, threshold_text

    predicted = "predicted" if score.given else "not predicted"
    out_of_fold = card.out_of_fold.get(score.genre)
    aside = "" if out_of_fold is None else f" (out-of-fold {out_of_fold:.3f})"
    probability = f"probability {score.probability:.3f}{aside}"
    head = f"\n{score.genre}: {predicted}; {probability}, {threshold_text(score)}"
    if score.score != score.score:
        return f"{head}; not fitted, since all items have this label or none has"
    maps = [(m.block, map_sentence(m)) for m in card.maps if m.genre == score.genre]
    lines = [head]
    if isinstance(score, (ScoreDecomposition, SharedPrediction)):
        blocks = "".join(f" {value:+.3f} {block}" for block, value in score.blocks.items())
        first = f"{score.intercept:+.3f} {first_summand(score)}"
        lines.append(f"  score {score.score:+.3f} = {first}{blocks}")
    return "\n".join([
        *lines,
        *(_part_lines(score, top) if isinstance(score, ScoreDecomposition) else ()),
        *(line for block, said in maps for line in _line(f"map of {block}", [said])),
    ])  # fmt: skip


def _part_lines(score: ScoreDecomposition, top: int) -> list[str]:
    """The words and fields that a score is the sum of."""
    from hybrid.explain.contributions import top_contributions

    towards, away, others = top_contributions(score, top)
    return [
        *_line("for", [f"{part.name} {part.contribution:+.3f}" for part in towards]),
        *_line("against", [f"{part.name} {part.contribution:+.3f}" for part in away]),
        *_line("", [f"{others.name} {others.contribution:+.3f}"]),
    ]


def _features_text(found: FeatureVisualisation) -> str:
    from hybrid.features.fusion import block_kind

    head = (
        f"{found.run}: the most important channels of each encoder for each genre, and what activates them "
        f"most, of {found.items} {found.source} (standard deviations above the mean)."
    )
    lines = [head, *found.notes]
    for channel in found.channels:
        lines.append(f"\n{channel.block}, channel {channel.number}")
        for side, genres in (("for", channel.towards), ("against", channel.away)):
            lines += _line(side, [f"{g} {value:+.3f}" for g, value in genres.items()])
        found_items = channel.posters or channel.items
        said = [f"{one.title or one.id} {one.activation:.1f}" for one in found_items]
        others = "texts of" if block_kind(channel.block) == "text-embedding" else "items"
        lines += _line(others if channel.items else "posters of", said or ["none above the mean"])
    return "\n".join(lines)
