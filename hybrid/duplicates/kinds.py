"""Kinds of duplicates; the names are in audits and records."""

SAME_IMAGE = "same image bytes"
NEAR_IMAGE = "near-duplicate poster"
SAME_TEXT = "same text"  # where there is no text column; else the column is named
SAME_FILM = "same title and year"
NEAR_EMBEDDING = "near-same embedding"
NEAR_TEXT_EMBEDDING = "near-same text embedding"
COLLECTION = "same collection"


def name_text_kinds(column: str) -> tuple[str, str]:
    """The kinds of same and near-same texts in a column.

    Examples
    --------
    >>> name_text_kinds("overview")
    ('same overview', 'near-same overview')
    """
    return f"same {column}", f"near-same {column}"
