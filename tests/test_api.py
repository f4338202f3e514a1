"""The public API: what `hybrid` exports, loads lazily, and documents."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hybrid

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
PUBLIC = [name for name in hybrid.__all__ if not name.startswith("__")]


def imported() -> set[str]:
    """Names that the page's examples import from hybrid."""
    found: set[str] = set()
    for example in doctest.DocTestParser().get_examples(PAGE.read_text()):
        for node in ast.walk(ast.parse(example.source)):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [str(node.module)]
                if node.module == "hybrid":
                    found |= {alias.name for alias in node.names}
            assert not [m for m in modules if m.startswith("hybrid.")], example.source
    return found


def test_every_public_name_is_documented_and_the_examples_import_no_other() -> None:
    listed = set(re.findall(r"`(\w+)`", PAGE.read_text().partition("\n## ")[0]))
    assert set(PUBLIC) <= listed
    assert imported() == set(PUBLIC)


def test_names_are_found_by_editors_and_type_checkers() -> None:
    """`dir`, the module of each name, and the imports under TYPE_CHECKING say the same."""
    assert dir(hybrid) == sorted(hybrid.__all__)
    assert sorted(hybrid._MODULES) == sorted(PUBLIC)
    tree = ast.parse(Path(hybrid.__file__).read_text())
    checked = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert checked == hybrid._MODULES


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_defined_where_it_is_loaded_from_and_says_what_it_is(name: str) -> None:
    found = getattr(hybrid, name)
    assert found.__module__ == hybrid._MODULES[name]
    assert inspect.cleandoc(found.__doc__).partition("\n")[0].endswith(".")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hybrid' has no attribute 'load_catalog'"):
        hybrid.load_catalog  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, hybrid\n"
        "dir(hybrid)\n"
        "sys.exit(' '.join({'numpy', 'pandas', 'sklearn', 'keras', 'click'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
