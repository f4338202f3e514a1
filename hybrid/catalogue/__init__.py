"""Catalogues: a table of items, the roles of its columns, its label matrix."""

from hybrid.catalogue.catalogue import Catalogue as Catalogue
from hybrid.catalogue.load import load_catalogue as load_catalogue
