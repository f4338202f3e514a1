"""Posters from the web: the URLs of a catalogue → image files, and a catalogue that names them."""

from __future__ import annotations

from hybrid.catalogue.download.fetch import fetch_posters as fetch_posters
from hybrid.catalogue.download.settings import FetchSettings as FetchSettings
