"""Importers: a known data set becomes a folder with a catalogue, its posters and its published split."""

from __future__ import annotations

from hybrid.catalogue.importers.importer import ImportOptions as ImportOptions
from hybrid.catalogue.importers.importing import ImportSummary as ImportSummary
from hybrid.catalogue.importers.importing import import_catalogue as import_catalogue
