"""List the text encoders that are known by name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hybrid.text_encoders.registry import TEXT_ENCODERS

HUB = "https://huggingface.co"


def list_text_encoders() -> list[dict[str, Any]]:
    """List the text encoders that are known by name. Others are named by their folder, or as the Hub does.

    Returns
    -------
    list of dict
        The fields of `KnownTextEncoder`, and ``"source"``: the page with their files and licence.

    Examples
    --------
    >>> row = list_text_encoders()[0]
    >>> row["name"], row["dimension"], row["licence"]
    ('all-MiniLM-L6-v2', 384, 'Apache-2.0')
    """
    return [
        {**asdict(known), "source": f"{HUB}/{known.repository}"} for known in TEXT_ENCODERS.values()
    ]
