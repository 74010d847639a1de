"""`@public`: errors begin with the name of what was called; nothing else changes."""

import inspect
import pickle
import traceback

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attnax
import attnax.functional as F
from attnax._public import public

X = host.ones((3, 2, 4))
COS = host.ones((3, 1, 3))  # of 6 features, and x has 4


def turned(x):
    return F.apply_rope(x, COS, COS)


@public
def outer(size):
    """Calls another public function."""
    return inner(size)


@public
def inner(size):
    if size < 0:
        raise ValueError(f"{size=} must not be negative.")
    if size > 9:
        raise IndexError("none has so many")
    return size


class Thing:
    @public
    def __init__(self, size):
        self.size = inner(size)

    @public
    def grown(self, size):
        return inner(size)

    @classmethod
    @public
    def of(cls, size):
        return cls(size)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("call", "name"),
    (
        (inner, "inner"),
        (outer, "outer"),
        (Thing, "Thing"),
        (Thing(1).grown, "Thing.grown"),
        (Thing.of, "Thing.of"),
    ),
)
def test_errors_begin_with_what_was_called(call, name):
    with pytest.raises(ValueError, match=f"^{name}: size=-1 must not be negative.$"):
        call(-1)


@pytest.mark.errors
def test_errors_that_name_their_function_stay():
    with pytest.raises(TypeError, match=r"^inner\(\) missing 1 required positional"):
        inner()
    with pytest.raises(IndexError, match=r"^none has so many$"):
        outer(10)
    # A TypeError of its own, which says where the value was traced.
    with pytest.raises(jax.errors.ConcretizationTypeError, match=r"^Attempted"):
        jax.jit(outer)(1)


@pytest.mark.errors
@pytest.mark.parametrize(
    "transformed",
    (
        jax.jit(turned),
        jax.vmap(turned),
        jax.grad(lambda x: turned(x).sum()),
        jax.checkpoint(turned),
        eqx.filter_jit(turned),
        lambda x: jax.eval_shape(turned, x),
        lambda x: jax.lax.map(turned, x),
    ),
)
def test_the_name_stands_once_inside_transformations(transformed):
    with pytest.raises(ValueError, match="apply_rope: ") as caught:
        transformed(X)
    first_line = str(caught.value).splitlines()[0]
    assert first_line.startswith("apply_rope: ")
    assert first_line.count("apply_rope") == 1


@pytest.mark.errors
def test_modules_name_themselves_and_no_function():
    module = attnax.RotaryEmbedding(8, 16)
    with pytest.raises(ValueError, match=r"^RotaryEmbedding: x.shape=\(3, 2, 4\) must"):
        module(X)
    with pytest.raises(ValueError, match=r"^TokenEmbedding: vocab_size=0 must be"):
        attnax.TokenEmbedding(0, 4, key=jax.random.key(0))


@pytest.mark.errors
def test_a_traceback_has_one_frame_more_for_each_public_call():
    with pytest.raises(ValueError) as caught:
        outer(-1)
    frames = traceback.extract_tb(caught.value.__traceback__)[1:]
    # The type-checking hook has frames of its own.
    ours = [f.name for f in frames if f.filename.endswith(("_public.py", __file__))]
    assert ours == ["named", "outer", "named", "inner"]


def test_transformations_see_the_function():
    ones = COS[0, :, :2]
    function = lambda x: F.apply_rope(x, ones, ones)
    for transformed in (jax.jit(function), jax.vmap(function)):
        np.testing.assert_array_equal(transformed(X), function(X))
    # The sum of (a - b) + (b + a) over pairs (a, b).
    gradient = jax.grad(lambda x: jnp.sum(function(x)))(X)
    np.testing.assert_array_equal(gradient, np.broadcast_to([2, 2, 0, 0], X.shape))


def test_functions_are_pickled_by_name_and_show_their_signature():
    for function in (F.rotate, F.default_inv_freq, attnax.interop.rope_from_hf):
        assert pickle.loads(pickle.dumps(function)) is function
        assert function.__doc__ and function.__module__.startswith("attnax.")
        assert inspect.getsourcefile(function).endswith(".py")
    assert [*inspect.signature(F.rotate).parameters][:3] == ["rope", "x", "positions"]
    hints = inspect.get_annotations(F.default_inv_freq)
    assert set(hints) == {"head_dim", "base", "return"}
    call = inspect.signature(attnax.TokenEmbedding.__call__)
    assert [*call.parameters][:2] == ["self", "token_ids"]
    assert inspect.unwrap(inner) is not inner
