"""Nothing is cut, broken or empty, whatever names and numbers of runs and genres there are."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hybrid.report.chart_labels import place_labels
from hybrid.report.page import prefix_ids, render
from hybrid.report.plots import Curve, draw

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
LONG = "Documentary about the history of an extraordinarily long genre name, with many words"
UNBROKEN = "Ohne" + "Leerzeichen" * 7
STRANGE = (
    LONG,
    UNBROKEN,
    "شريط سينمائي وثائقي طويل جدا عن التاريخ",
    "恐怖電影與科幻片與紀錄片與動畫片" * 3,
    "דרמה",
)
HALF = {"value": 0.5, "low": 0.4, "high": 0.6}


def record(i: int) -> dict[str, Any]:
    """Data for every section; every other run has a single epoch and a single size."""
    channel = {"block": "poster", "number": 7, "towards": {LONG: 0.4}, "away": {UNBROKEN: -0.2}}
    sides = {"for": {f"cast={UNBROKEN}": 0.2, "vote_count": 0.1}, "against": {}}
    points = [{"items": n, "f1_weighted": HALF, "map_macro": HALF} for n in (50, 100)[i % 2 :]]
    epochs = 1 + i % 2
    leaked = {"f1_weighted": {"all": HALF, "clean": HALF, "difference": HALF}}
    return {
        "audit": {"clean": True, "checks": ["same id"], "leaks": [], "cost": leaked},  # a long note
        "stages": [{"name": "fit", "seconds": 1.0 + i, "peak_mib": 900.0}],
        "cost": {"total_seconds": 1.0 + i},
        "history": {"loss": [2.0, 1.0][:epochs], "val_loss": [2.0, 1.5][:epochs]},
        "channels": [{**channel, "posters": {"i1": 2.5}}],
        "why": {LONG: {"metadata": sides}},
        "curve": {"points": points, "verdict": "Enough.", "judged": 40, "left_out": []},
        "command": f"hybrid fit-svm --name {UNBROKEN}",
        "model": "MultilabelLinearSVC",
        "blocks": ["poster", "text", "metadata"],
    }


@pytest.fixture(scope="module", params=[(1, 1), (2, 3), (12, 30)], ids=str)
def page(request: pytest.FixtureRequest, compared: Callable[..., Any]) -> str:
    runs, genres = request.param
    random = np.random.default_rng(0)
    names = (*STRANGE, *(f"Genre {j}" for j in range(genres)))[:genres]
    truth = (random.random((40, genres)) < 0.3).astype(np.uint8)
    truth[truth.sum(axis=1) == 0, 0] = 1
    if genres > 2:
        truth[:, 2] = 0  # a genre without test items
    titles = {"title": [(*STRANGE, "")[k % 6] for k in range(80)]}
    scores, records = {}, {}
    for i, name in enumerate((*STRANGE, *(f"run-{i}" for i in range(runs)))[:runs]):
        scores[name] = np.clip(0.3 * truth + 0.6 * random.random(truth.shape), 0, 1)
        records[name] = record(i)
    return render(compared(names, truth, scores, records, titles), "hybrid report")


def test_labels_of_charts_are_inside(page: str) -> None:
    charts = re.findall(r'<svg[^>]*class="plot".*?</svg>', page, re.S)
    assert charts
    for chart in charts:
        root = ElementTree.fromstring(chart)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for text in root.iter("text"):
            size = float(text.get("font-size", "9px").removesuffix("px"))
            length = 0.62 * size * len("".join(text.itertext()))  # wider than most fonts
            x, y = float(text.get("x", "nan")), float(text.get("y", "nan"))
            start = {"middle": x - length / 2, "end": x - length}.get(
                text.get("text-anchor", ""), x
            )
            if "rotate(-90" in text.get("transform", ""):
                assert y - length / 2 >= -1, text.text
                assert y + length / 2 <= height + 1, text.text
            else:
                assert start >= -1, text.text
                assert start + length <= width + 1, text.text


def test_no_chart_is_empty(page: str) -> None:
    for chart in re.findall(r'<svg[^>]*class="plot".*?</svg>', page, re.S):
        assert re.search(r"data-run|<use |class=\"", chart.partition(">")[2]), chart[:200]
        colours = set(re.findall(r'(?:stroke|fill)="([^"]*)"', chart))
        assert all(re.fullmatch(r"none|var\(--[a-z0-9-]+\)", colour) for colour in colours), colours


@pytest.mark.parametrize("n", [2, 5, 12])
def test_labels_of_points_do_not_cover_each_other(n: int) -> None:
    random = np.random.default_rng(n)
    points = random.normal(100, 8, (n, 2))
    labels = [str(k + 1) for k in range(n)]
    boxes = []
    for (x, y), label, (dx, dy, _) in zip(
        points.tolist(), labels, place_labels(points, labels, (0, 0, 200, 200)), strict=True
    ):
        half = len(label) * 0.6 * 9 / 2
        boxes.append((x + dx - half, y + dy - 4.5, x + dx + half, y + dy + 4.5))
    assert all(a >= 0 and b >= 0 and c <= 200 and d <= 200 for a, b, c, d in boxes)
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])


def test_a_label_far_from_its_point_has_a_line() -> None:
    points = [Curve(k, [1.0], [0.5], label=str(k + 1)) for k in range(12)]
    assert str(draw(points, "p", "words", axes=("x", "y"))).count("<text") >= 12


def test_ids_of_groups_do_not_meet() -> None:
    text = '<h2 id="a">id="b" </h2><a href="#a"></a><svg><use href="#c"/><g clip-path="url(#c)"/></svg>'
    escaped = text.replace('>id="b" <', ">id=&#34;b&#34; <")
    assert prefix_ids(escaped, "g-") == (
        '<h2 id="g-a">id=&#34;b&#34; </h2><a href="#g-a"></a>'
        '<svg><use href="#g-c"/><g clip-path="url(#g-c)"/></svg>'
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="the extra 'test' is not installed")
    flags = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=flags)
        yield started
        started.close()


FAULTS = r"""() => {
  const found = [];
  const label = (part) => part.outerHTML.slice(0, 90);
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window");
  for (const text of document.querySelectorAll("svg.plot text")) {
    const own = text.getBoundingClientRect(), all = text.closest("svg").getBoundingClientRect();
    const across = own.left < all.left - 1 || own.right > all.right + 1;
    if (across || own.top < all.top - 1 || own.bottom > all.bottom + 1)
      found.push("cut: " + text.textContent);
  }
  for (const part of document.querySelectorAll("main *")) {
    const hidden = ["hidden", "clip"].includes(getComputedStyle(part).overflowX);
    if (hidden && !part.closest("svg") && part.clientWidth > 1 && part.scrollWidth > part.clientWidth + 1)
      found.push("cut: " + label(part));
  }
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const parent = node.parentElement;
    if (parent.closest("svg, pre, .code, .note") || !parent.getClientRects().length) continue;
    for (const word of node.data.matchAll(/\p{Script=Latin}+/gu)) {
      if (word[0].length > 22) continue;
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((place) => Math.round(place.top))).size > 1)
        found.push("broken: " + word[0] + " in " + label(parent));
    }
  }
  return found;
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_or_broken_in_a_browser(
    width: int, page: str, browser: Any, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    opened = browser.new_page(viewport={"width": width, "height": 900})
    opened.goto(path.as_uri())
    opened.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert opened.evaluate(FAULTS) == []
    opened.close()


def test_the_summary_prints_on_one_page(page: str, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    opened = browser.new_page()
    opened.goto(path.as_uri())
    printed = opened.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) == 1
    opened.close()
