"""Commands do with a catalogue at a URL what they do with its copy here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.remote.conftest import Bucket
from tests.remote.server import S3Server

Run = Callable[..., Any]


@pytest.fixture
def project(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a folder with the sample beside it."""
    shutil.copytree(sample, tmp_path / "here")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return tmp_path


def results(run: Path) -> tuple[bytes, Any]:
    record = json.loads((run / "run.json").read_text())
    return (run / "predictions.csv").read_bytes(), record["metrics"]


def test_commands_do_the_same_as_with_the_files_here(
    project: Path, remote_sample: str, s3: Bucket, hybrid_here: Run
) -> None:
    url = f"{remote_sample}/catalogue.csv"
    here, there = project / "here", project / "there"

    def both(*words: str, code: int = 0) -> list[Any]:
        found = []
        for folder, catalogue in ((here, "catalogue.csv"), (there, url)):
            done = hybrid_here(*words, "--catalogue", catalogue, "--quiet", cwd=folder)
            assert done.returncode == code, done.stderr
            found.append(done.stdout.replace(url, "catalogue.csv"))
        return found

    a, b = both("check", "--json")
    assert a == b
    assert len(json.loads(a)["bad_rows"]) == 6
    both("split")
    assert (here / "splits.csv").read_bytes() == (there / "splits.csv").read_bytes()
    fit = ("fit-svm", "--blocks", "text,metadata", "--name", "a")
    a, b = both(*fit)
    assert results(here / "runs/a") == results(there / "runs/a")
    record = json.loads((there / "runs/a/run.json").read_text())
    assert record["catalogue"]["path"] == url
    both("predict", "a", "--out", "new.csv")
    assert (here / "new.csv").read_bytes() == (there / "new.csv").read_bytes()
    both("explain", "a", "f0000", "--html", "page.html")
    thumbnails = [
        (folder / "page.html").read_text().count("data:image") for folder in (here, there)
    ]
    assert thumbnails[0] == thumbnails[1] > 0
    both("report")
    # A run that someone else made could name any address.
    done = hybrid_here("explain", "a", "f0000", cwd=there)
    assert done.returncode == 1
    assert (
        f"its URL {url}, which is read only where you name it. Name it with --catalogue"
        in done.stderr
    )


def test_a_server_that_is_killed_ends_a_command_and_no_poster_is_called_bad(
    sample: Path, s3: Bucket, hybrid_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid.images import files

    server = S3Server()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    url = Bucket(server).upload(sample)
    read, asked = files.read_whole, list[str]()

    def killing(name: str, *rest: Any) -> bytes:
        asked.append(name)
        if len(asked) == 20:
            server.kill()
        return read(name, *rest)

    monkeypatch.setattr(files, "read_whole", killing)
    done = hybrid_here("check", "--catalogue", f"{url}/catalogue.csv", "--quiet", cwd=tmp_path)
    assert done.returncode == 1
    assert "expected an answer of the server, found: Could not connect" in done.stderr
    assert done.stdout == ""
