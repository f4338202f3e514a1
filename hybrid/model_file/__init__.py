"""Model files: a fitted model as JSON and arrays, read against schemas; nothing in them is executed."""

from hybrid.model_file.files import check_model as check_model
from hybrid.model_file.files import load_model as load_model
from hybrid.model_file.files import save_model as save_model
