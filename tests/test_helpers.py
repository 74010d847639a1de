"""Helpers of tests: functions under `jit`, once for each shape and setting."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted

import attnax.functional as F


class Pair(NamedTuple):
    first: jax.Array
    second: jax.Array | None


def test_arrays_are_traced_wherever_they_stand():
    @jitted
    def function(x, pair, *, scale):
        leaves = (x, pair.first, scale["of"])
        assert all(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        assert pair.second is None
        return x + pair.first * scale["of"]

    ones = np.ones(3, np.float32)
    made = function(ones, Pair(jnp.asarray(ones), None), scale={"of": ones})
    np.testing.assert_array_equal(made, [2, 2, 2])


def test_settings_are_static_and_keep_their_type():
    @jitted
    def function(x, *settings, name):
        seen.append((settings, name))
        return x

    seen, x = [], jnp.ones(2)
    for setting in (1, 1.0, True, jnp.float32, None, (2, "three")):
        function(x, setting, name="a")
    function(x, 1, name="b")
    assert [(type(s[0]), n) for s, n in seen] == [
        *((kind, "a") for kind in (int, float, bool, type(jnp.float32))),
        *((type(None), "a"), (tuple, "a"), (int, "b")),
    ]


def test_one_program_for_each_shape_and_setting():
    traced = 0

    def function(x, factor):
        nonlocal traced
        traced += 1
        return x * factor

    for _ in range(2):  # made anew, as in several tests of a file
        for size in (2, 3, 2):
            for factor in (1.0, 2.0, 1.0):
                jitted(function)(jnp.ones(size, jnp.float32), factor)
    assert traced == 4


def test_records_and_gradients_pass():
    rope = F.Rope(F.default_inv_freq(8))
    x = jnp.ones((5, 3, 8), jnp.float32)
    rotate = jitted(F.rotate)
    made = rotate(rope, x, np.arange(5), inverse=True)
    np.testing.assert_array_equal(
        made,
        jax.jit(F.rotate, static_argnames="inverse")(
            rope, x, jnp.arange(5), inverse=True
        ),
    )
    assert jax.grad(lambda x: rotate(rope, x, np.arange(5)).sum())(x).shape == x.shape


def test_errors_are_those_of_the_function():
    with pytest.raises(ValueError, match="layout='thirds'"):
        x, cos = jnp.ones((3, 8)), jnp.ones((3, 4))
        jitted(F.apply_rope)(x, cos, cos, layout="thirds")
