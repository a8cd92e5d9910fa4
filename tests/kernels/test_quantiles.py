"""Quantiles of what comes in pieces: to the last bit those of numpy on the whole list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromfa_lite.kernels.quantiles import median, quantiles

NUMBERS = st.lists(st.floats(0, 1e300), min_size=1, max_size=30)


@pytest.mark.small
@settings(deadline=None, max_examples=60)
@given(st.lists(NUMBERS, min_size=1, max_size=4), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_are_those_of_the_whole_list(lists, shares):
    pieces = [np.array(numbers) for numbers in lists]
    whole = np.concatenate(pieces)
    np.testing.assert_array_equal(quantiles(lambda: iter(pieces), shares), np.quantile(whole, shares))
    assert median(lambda: iter(pieces)) == np.median(whole)


@pytest.mark.small
def test_of_nothing_there_is_no_quantile():
    assert np.isnan(median(lambda: [np.empty(0)])) and np.isnan(quantiles(list, [0.1, 0.9])).all()
