"""Dates as features of metadata: year bins and months."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hybrid.features.metadata import MetadataFeatures


def test_a_date_is_its_year_bin_and_its_month() -> None:
    dates = ["1979-05-25", "1974-05", "1979", "", "1974-05-01"]
    frame = pd.DataFrame({"released": dates}, dtype=object)
    block = MetadataFeatures(dates=["released"], min_count=1).fit(frame)
    assert block.get_feature_names_out().tolist() == ["released=1970-1979", "released=month 05"]
    both = np.sqrt(0.5)
    expected = [[both, both], [both, both], [1, 0], [0, 0], [both, both]]
    np.testing.assert_allclose(block.transform(frame).toarray(), expected, rtol=1e-6)
    assert block.missing(frame).tolist() == [False, False, False, True, False]


def test_one_odd_year_does_not_make_numbers_of_years() -> None:
    years = [*range(1950, 2000), 0]
    block = MetadataFeatures(["year"]).fit(pd.DataFrame({"year": np.array(years, dtype=float)}))
    assert block.years_ == ("year",)


def test_a_model_that_was_stored_before_there_were_dates_is_read() -> None:
    frame = pd.DataFrame({"language": ["en", "en", "de"]}, dtype=object)
    block = MetadataFeatures(categorical=["language"]).fit(frame)
    expected = block.transform(frame).toarray()
    old = MetadataFeatures.__new__(MetadataFeatures)
    old.__dict__ = {name: value for name, value in block.__dict__.items() if name != "dates"}
    np.testing.assert_array_equal(old.transform(frame).toarray(), expected)
