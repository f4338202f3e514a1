"""Copy the files of the encoder that a tuned one started from, so that the folder can be moved."""

from __future__ import annotations

import shutil
from pathlib import Path

from hybrid.text_encoders.folder import ARRAYS, CONFIG, MODULES, TOKENIZER
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.utils.files import make_folder
from hybrid.utils.reading import WEIGHTS, open_file

OTHERS = (MODULES, "sentence_bert_config.json", "README.md")


def copy_base(spec: TransformerSpec, target: Path) -> None:
    """Copy all that `hybrid.text_encoders.folder.read_text_encoder` reads.

    Parameters
    ----------
    spec : TransformerSpec
    target : Path
        A folder; it is made.

    Raises
    ------
    OSError
        If a file cannot be read or written.
    """
    poolings = (path.relative_to(spec.folder) for path in spec.folder.glob("*/" + CONFIG))
    names = [Path(name) for name in (CONFIG, TOKENIZER, ARRAYS, *OTHERS)]
    for name in (*names, *poolings):
        if (spec.folder / name).is_file():
            copy_file(spec.folder / name, target / name)


def copy_file(path: Path, target: Path) -> None:
    """Copy a file of weights; the folder that it goes to is made.

    Raises
    ------
    OSError
        If a file cannot be read or written.
    """
    make_folder(target.parent)
    with open_file(path, WEIGHTS) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
