"""The report in a real browser: quiet, sealed, and workable with the keyboard alone."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hybrid.report.page import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="there is no Chromium here: apt-get install chromium"
)
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = (
    "<script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned = 2">',
    "javascript:window.owned=3",
    "</style><style>body{display:none}</style>",
    "</script><script>window.owned = 4</script>",
    "{{ 7 * 7 }}",
)
N = 40


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the extra 'test' is not installed")
    # Chromium's sandbox does not work for the administrator, as whom containers often run tests.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=flags)
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(compared: Callable[..., Any]) -> Path:
    """A report of three runs with hostile names, titles, genres, leaks and commands."""
    random = np.random.default_rng(0)
    genres = (*EVIL[:5], "Drama", "Horror")
    truth = (random.random((N, len(genres))) < 0.4).astype(np.uint8)
    truth[:, 5] |= truth.sum(axis=1) == 0
    scores = {
        f"{name}": np.clip(truth * weight + (1 - weight) * random.random(truth.shape), 0, 1)
        for name, weight in ((EVIL[1], 0.5), (EVIL[0], 0.3), ("plain", 0.2))
    }
    leak = {
        "kind": EVIL[0],
        "count": 1,
        "share": 0.1,
        "pairs": [[EVIL[1], "train", EVIL[3], "test"]],
    }
    record = {
        "command": EVIL[4],
        "model": EVIL[3],
        "audit": {"clean": False, "checks": [EVIL[0]], "leaks": [leak]},
        "stages": [{"name": EVIL[1], "seconds": 3.0, "peak_mib": 5.0}],
        "history": {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]},
    }
    columns = {
        "title": [EVIL[k % len(EVIL)] for k in range(2 * N)],
        "poster": [("p.png", EVIL[2], "gone.png")[k % 3] for k in range(2 * N)],
    }
    comparison = compared(genres, truth, scores, dict.fromkeys(scores, record), columns)
    folder = comparison.catalogue.path.parent
    Image.new("RGB", (40, 60), "teal").save(folder / "p.png")
    path = folder / "report.html"
    path.write_text(render(comparison, "hybrid report"))
    return path


@pytest.fixture
def heard() -> list[str]:
    """What the page asked for or complained of, beyond itself."""
    return []


@pytest.fixture
def page(browser: Any, page_file: Path, heard: list[str]) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.on("console", lambda message: heard.append(f"console: {message.text}"))
    opened.on("pageerror", lambda error: heard.append(f"error: {error}"))
    opened.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    address = page_file.as_uri()
    opened.on(
        "request",
        lambda request: (
            request.url.startswith((address, "data:")) or heard.append(f"request: {request.url}")
        ),
    )
    opened.goto(address)
    yield opened
    opened.close()


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until this has the focus, as somebody without a mouse does."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    pytest.fail(f"Tab never reaches {selector}")


def unfold(page: Any, section: str) -> None:
    """Open a section with the keyboard."""
    tab_to(page, f"section[aria-labelledby={section}] > details > summary")
    page.keyboard.press("Enter")


def test_nothing_is_asked_for_and_nothing_runs(page: Any, heard: list[str]) -> None:
    assert page.evaluate("window.owned") is None
    assert page.locator("h2").count() == 11
    for payload in EVIL[:5]:
        assert page.get_by_text(payload, exact=True).count() > 0
    assert page.locator(".items img").evaluate_all("all => all.every(img => img.naturalWidth > 0)")
    assert page.locator(".items img").count() > 0
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    assert heard == []


def test_the_policy_stops_what_is_not_the_pages_own(page: Any, heard: list[str]) -> None:
    with page.expect_event("requestfailed") as refused:
        page.evaluate(
            """() => {
                document.body.setAttribute("style", "display: none");
                const script = document.createElement("script");
                script.textContent = "window.owned = 5";
                const image = document.createElement("img");
                image.src = "https://example.org/x.png";
                document.body.append(script, image);
            }"""
        )
    assert refused.value.url == "https://example.org/x.png"
    assert refused.value.failure == "csp"
    assert page.evaluate("window.owned") is None
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    for directive in ("style-src", "script-src", "img-src"):
        assert any("Content Security Policy" in line and directive in line for line in heard)


def test_tables_are_sorted_by_keyboard(page: Any, heard: list[str]) -> None:
    head = "section[aria-labelledby=runs] th:nth-child(4)"
    unfold(page, "runs")
    tab_to(page, f"{head} button")
    page.keyboard.press("Enter")
    assert page.locator(head).get_attribute("aria-sort") == "descending"

    def column() -> list[float]:
        cells = page.locator("section[aria-labelledby=runs] tbody tr td:nth-child(4)")
        return [
            float(value) for value in cells.evaluate_all("all => all.map(c => c.dataset.value)")
        ]

    assert len(column()) == 3
    assert column() == sorted(column(), reverse=True)
    page.keyboard.press("Space")
    assert page.locator(head).get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    assert page.locator("[aria-sort]").count() == 1
    assert "F1 macro, ascending" in page.locator("#status").text_content()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("[aria-sort]").count() == 1
    assert heard == []


def test_what_is_not_known_is_sorted_last(
    browser: Any, compared: Callable[..., Any], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    truth = np.ones((20, 2), dtype=np.uint8)
    scores = {name: random.random(truth.shape) for name in "abc"}
    records = {n: {"cost": {"total_seconds": s}} for n, s in {"a": 2.0, "c": 10.0}.items()}
    (tmp_path / "r.html").write_text(render(compared(("x", "y"), truth, scores, records)))
    page = browser.new_page()
    page.goto((tmp_path / "r.html").as_uri())
    unfold(page, "runs")
    button = page.locator("section[aria-labelledby=runs] th button", has_text="Seconds")
    names = page.locator("section[aria-labelledby=runs] tbody th")
    for expected in (["a", "c", "b"], ["c", "a", "b"]):
        button.press("Enter")
        assert names.evaluate_all("all => all.map(n => n.dataset.value)") == expected
    page.close()


def test_runs_and_genres_are_filtered_by_keyboard(page: Any, heard: list[str]) -> None:
    tab_to(page, ".tools button")
    page.keyboard.press("Enter")
    assert page.locator("details.fold:not([open])").count() == 0
    tab_to(page, ".legend input")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    shown = page.locator("section[aria-labelledby=runs] tbody tr:visible")
    assert shown.count() == 2
    assert page.locator("[data-run='1']:visible").count() == 0
    assert page.locator("svg [data-run='0']:visible").count() > 0
    page.keyboard.press("Space")
    assert shown.count() == 3
    tab_to(page, "#find-genre-bars")
    page.keyboard.type("horr")
    assert page.locator(".genre:visible").evaluate_all("all => all.map(g => g.dataset.genre)") == [
        "Horror"
    ]
    assert page.locator("#status").text_content() == "1 of 7 genres shown"
    for _ in "horr":
        page.keyboard.press("Backspace")
    assert page.locator(".genre:visible").count() == 7
    assert heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_is_not_empty(scheme: str, width: int, browser: Any, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(page_file.as_uri())
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider than the page scrolls in a region of its own, which the keyboard reaches.
    wide = page.evaluate(
        """() => [...document.querySelectorAll("table")].every(table => {
        const region = table.closest(".scroll");
        return region && region.tabIndex === 0
            && (region.hasAttribute("aria-label") || region.hasAttribute("aria-labelledby"));
    })"""
    )
    assert wide
    image = Image.open(io.BytesIO(page.screenshot()))
    shades = np.asarray(image.convert("L"))
    paper = np.bincount(shades.ravel()).argmax()
    assert bool(paper < 60) is (scheme == "dark")
    assert 0.02 < (np.abs(shades.astype(int) - int(paper)) > 40).mean() < 0.9
    page.close()


def pages_of(page: Any) -> int:
    """Number of A4 pages that the page prints on."""
    return len(
        re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format="A4", prefer_css_page_size=True))
    )


def test_the_summary_prints_on_one_page_and_what_is_open_after_it(
    page: Any, heard: list[str]
) -> None:
    assert page.locator("details.fold").count() == page.locator("h2").count()
    assert page.locator("details[open]").count() == 0
    assert pages_of(page) == 1
    unfold(page, "runs")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".front .summary").is_visible()
    assert page.locator("section[aria-labelledby=runs] tbody tr:visible").count() == 3
    assert page.locator("h2:visible").all_text_contents() == ["Runs"]
    assert page.locator(".jump:visible, .legend:visible, .tools:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert pages_of(page) == 2
    assert heard == []


def test_a_link_opens_its_section(page: Any, heard: list[str]) -> None:
    for name in ("genres", "runs", "runs"):
        page.locator(f".jump a[href='#{name}']").press("Enter")
        page.locator(f"section[aria-labelledby={name}] table, #genre-bars").first.wait_for()
        page.locator(f"#{name}").click()  # folds it again
        assert page.locator(f"section[aria-labelledby={name}] > details[open]").count() == 0
    assert heard == []


def test_it_can_be_read_without_its_script(browser: Any, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("h2:visible").count() == 11
    assert page.locator("button:visible, input:visible").count() == 0
    assert page.locator(".front tbody tr:visible").count() == 3
    page.locator("#runs").click()
    assert page.locator("section[aria-labelledby=runs] tbody tr:visible").count() == 3
    context.close()


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Any) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("img, svg, input, [role=region]")].filter(part =>
        !part.alt && !part.ariaLabel && !part.labels?.length && part.ariaHidden !== "true"
        && !part.getAttribute("aria-labelledby")).map(part => part.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(part => part.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("document.documentElement.lang") == "en"
