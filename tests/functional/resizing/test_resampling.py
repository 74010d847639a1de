import copy
import pickle

import jax
import numpy as np
import pytest
from helpers import refused
from resize_oracles import CONVENTIONS

import attnax.functional as F
from attnax.functional._resizing.resampling import exact_offset


def test_equal_records_are_one_key_and_are_written_alike():
    made = F.Resampling("bicubic", np.bool_(False), offset=np.float32(0.1))
    expected = F.Resampling(method="bicubic", antialias=False, offset=0.1)
    assert {made: 1} == {expected: 1}
    assert repr(made) == repr(expected)
    assert len(set(CONVENTIONS)) == len(CONVENTIONS)


def test_it_is_frozen_and_copies_are_equal():
    for resampling in CONVENTIONS:
        with pytest.raises(AttributeError):
            resampling.offset = 0.5
        for other in (
            pickle.loads(pickle.dumps(resampling)),
            copy.deepcopy(resampling),
        ):
            assert other == resampling


def test_it_has_no_leaves():
    assert jax.tree.leaves(CONVENTIONS) == []
    assert jax.jit(lambda resampling: resampling)(CONVENTIONS[0]) == CONVENTIONS[0]


@pytest.mark.parametrize("offset", (0, 0.1, 0.125, 0.999, np.float16(0.5)))
def test_offsets_are_decimal_numbers(offset):
    exact = exact_offset(F.Resampling("bilinear", antialias=True, offset=offset))
    assert exact.denominator <= 1000
    assert float(exact) == float(offset)


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"method": "cubic"}, "method='cubic' must be 'bilinear' or 'bicubic'"),
        ({"method": None}, "method=None must be 'bilinear' or 'bicubic'"),
        ({"offset": -0.1}, r"offset=-0.1 must lie in \[0, 1\)"),
        ({"offset": 0.1234}, "offset=0.1234 must lie in .* three decimals"),
        ({"offset": float("nan")}, "offset=nan must lie in"),
        ({"offset": "0.1"}, "offset='0.1' must lie in"),
        ({"antialias": "False"}, "antialias='False' must be True or False"),
        ({"antialias": None}, "antialias=None must be True or False"),
        ({"antialias": 1}, "antialias=1 must be True or False"),
        ({"align_corners": None}, "align_corners=None must be True or False"),
        (
            {"align_corners": True, "antialias": True},
            "align_corners=True must come with antialias=False",
        ),
        ({"align_corners": True, "offset": 0.1}, "offset=0.1 must be 0"),
    ),
)
def test_contradictions_are_refused(changed, message):
    with refused(f"Resampling: {message}"):
        F.Resampling(**{"method": "bilinear", "antialias": False, **changed})
