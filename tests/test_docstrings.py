"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest

import attnax

# Reprs name float32, which is not the default there.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")
NAMES = [m.name for m in pkgutil.walk_packages(attnax.__path__, "attnax.")]
# Their examples compile a dozen programs and more.
LONG = {
    *("_detr_sinusoids", "_pack_patches", "_patch_resize", "_resize_at"),
    *("_resize_weights", "_text", "_vision", "_vision_packed"),
}
marked = [
    pytest.param(name, marks=pytest.mark.slow)
    if name.rpartition(".")[2] in LONG
    else name
    for name in NAMES
]


@pytest.mark.parametrize("name", marked)
def test_examples(name):
    module = importlib.import_module(name)
    # What a reader of the page has at hand.
    names = {"jax": jax, "jnp": jnp, **vars(attnax.functional), **vars(attnax.nn)}
    results = doctest.testmod(module, extraglobs=names)
    assert results.failed == 0


def test_examples_are_found():
    finder = doctest.DocTestFinder()
    module = importlib.import_module("attnax.functional._rope_rotate")
    assert any(test.examples for test in finder.find(module, globs={}))
