"""The project that commands are run in which get a signal."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image


def write_project(folder: Path, server: str, encoder: Path | None, n: int = 36) -> None:
    """A catalogue with small posters, one with their addresses, a data set to import, a text encoder."""
    draw = np.random.default_rng(0)
    (folder / "posters").mkdir(parents=True)
    words = {"Comedy": "funny laugh wedding", "Horror": "ghost blood night", "Western": "horse gun"}
    rows, source = (
        ["id,title,year,genres,overview,poster"],
        ["imdbId,Imdb Link,Title,IMDB Score,Genre,Poster"],
    )
    for i in range(n):
        genre = [*words][i % 3]
        pixels = draw.integers(0, 256, (24, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "posters" / f"{i}.png")
        text = " ".join(draw.choice([*words[genre].split(), "a", "film", "about"], 6))
        rows.append(f"f{i},Film {i},{1950 + i},{genre},{text},posters/{i}.png")
        source.append(f"{1000 + i},,Film {i} ({1950 + i}),7.1,{genre},")
    (folder / "catalogue.csv").write_text("\n".join(rows) + "\n")
    urls = [f"f{i},Film {i},Drama,{server}/{i}.png\n" for i in range(n)]
    (folder / "urls.csv").write_text("id,title,genres,poster_url\n" + "".join(urls))
    if encoder is not None:
        shutil.copytree(encoder, folder / "encoder")
    (folder / "source").mkdir()
    (folder / "source" / "MovieGenre.csv").write_text("\n".join(source) + "\n")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the files of a folder, in a thread: the address."""
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = partial(handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
