"""The HDF5 store of embeddings; FORMAT.md beside this file is its specification."""

from hybrid.cache.compaction import compact as compact
from hybrid.cache.compaction import is_worth_compacting as is_worth_compacting
from hybrid.cache.costs import EmbeddingCost as EmbeddingCost
from hybrid.cache.costs import RowCosts as RowCosts
from hybrid.cache.fingerprint import describe_differences as describe_differences
from hybrid.cache.fingerprint import differences as differences
from hybrid.cache.fingerprint import fingerprint_of as fingerprint_of
from hybrid.cache.folder import EmbeddingCache as EmbeddingCache
from hybrid.cache.leases import Leases as Leases
from hybrid.cache.parts import DTYPES as DTYPES
from hybrid.cache.parts import PART_ROWS as PART_ROWS
from hybrid.cache.remote import check_takes_rows as check_takes_rows
from hybrid.cache.store import EmbeddingStore as EmbeddingStore
