"""Readers of catalogue files, one module a format: each gives a table of strings."""

from __future__ import annotations

from hybrid.catalogue.readers.parse import parse_table as parse_table
from hybrid.catalogue.readers.source import open_source as open_source
from hybrid.catalogue.readers.table import ParsedTable as ParsedTable
