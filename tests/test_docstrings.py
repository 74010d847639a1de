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


@pytest.mark.slow  # they compile hundreds of programs
@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    module = importlib.import_module(name)
    # What a reader of the page has at hand.
    names = {"jax": jax, "jnp": jnp, **vars(attnax.functional), **vars(attnax.nn)}
    with jax.numpy_dtype_promotion("standard"):  # for Adam of optax
        results = doctest.testmod(module, extraglobs=names)
    assert results.failed == 0


def test_examples_are_found():
    finder = doctest.DocTestFinder()
    module = importlib.import_module("attnax.functional._rope.apply")
    assert any(test.examples for test in finder.find(module, globs={}))
