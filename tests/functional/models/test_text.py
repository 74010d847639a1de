import functools
import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

VOCAB_SIZE, NUM_POSITIONS, NUM_TYPES, D_MODEL, SEQ_LEN = 11, 9, 3, 4, 5
PARTS = {
    "BERT": ("positions", "token_types"),
    "GPT-2": ("positions",),
    "types alone": ("token_types",),
    "tokens alone": (),
}
parts = pytest.mark.parametrize("family", PARTS)

embed = jitted(F.apply_text_embedding)


def draw_params(data, family, dtype=jnp.float32):
    table = lambda n: data.draw(ax.floats((n, D_MODEL), dtype))
    learned = F.LearnedPositionalEmbeddingParams(table(NUM_POSITIONS))
    types = F.TokenEmbeddingParams(table(NUM_TYPES))
    return F.TextEmbeddingParams(
        token=F.TokenEmbeddingParams(table(VOCAB_SIZE)),
        positions=learned if "positions" in PARTS[family] else None,
        token_types=types if "token_types" in PARTS[family] else None,
    )


def draw_inputs(data, family, batch, with_positions):
    """Ids, and the keyword arguments that go with the family."""
    shape = (*batch, SEQ_LEN)
    options = {}
    if "token_types" in PARTS[family]:
        options["token_type_ids"] = data.draw(ax.integers(shape, 0, NUM_TYPES - 1))
    if "positions" in PARTS[family] and with_positions:
        options["positions"] = data.draw(ax.integers(shape, 0, NUM_POSITIONS - 1))
    return data.draw(ax.integers(shape, 0, VOCAB_SIZE - 1)), options


def one_hot_sum(params, token_ids, token_type_ids=None, positions=None):
    """One-hot products in float64."""
    take = lambda table, ids: np.eye(len(table))[ids] @ np.asarray(table, np.float64)
    out = take(params.token.weight, token_ids)
    if params.token_types is not None:
        out = out + take(params.token_types.weight, token_type_ids)
    if params.positions is not None:
        positions = np.arange(SEQ_LEN) if positions is None else positions
        out = out + take(params.positions.weight, positions)
    return out


@parts
@given(
    data=st.data(),
    dtype=ax.dtypes,
    batch=st.sampled_from(((), (2, 3))),
    with_positions=st.booleans(),
)
def test_tables_are_added_up(data, family, dtype, batch, with_positions):
    params = draw_params(data, family, dtype)
    ids, options = draw_inputs(data, family, batch, with_positions)
    actual = embed(params, ids, **options)
    assert actual.dtype == dtype
    expected = one_hot_sum(params, ids, **options)
    assert_close(actual, expected, magnitude=24.0)


@parts
@given(data=st.data(), dtype=st.sampled_from((jnp.float32, jnp.bfloat16)))
def test_eager_is_compiled(data, family, dtype):
    params = draw_params(data, family, dtype)
    ids, options = draw_inputs(data, family, (1,), with_positions=True)
    eager = F.apply_text_embedding(params, ids, **options)
    assert_same_bits(embed(params, ids, **options), eager)


@parts
@given(data=st.data(), dtype=ax.narrow_dtypes)
def test_low_precision_is_float32_rounded_once(data, family, dtype):
    params = draw_params(data, family, dtype)
    ids, options = draw_inputs(data, family, (2,), True)
    wide = jax.tree.map(lambda t: np.asarray(t, np.float32), params)
    expected = np.asarray(embed(wide, ids, **options))
    actual = embed(params, ids, **options)
    assert_same_bits(actual, expected.astype(dtype))
    assert_same_bits(embed(params, ids, dtype=jnp.float32, **options), expected)


@jax.jit
def mapped(params, ids, options):
    one = lambda ids, options: F.apply_text_embedding(params, ids, **options)
    return jax.vmap(jax.vmap(one))(ids, options)


@parts
@given(data=st.data())
def test_batch_equals_vmap(data, family):
    params = draw_params(data, family)
    ids, options = draw_inputs(data, family, (2, 3), True)
    assert_same_bits(mapped(params, ids, options), embed(params, ids, **options))


@functools.cache
def params_of(dtype=None, **options):
    sizes = {"num_positions": NUM_POSITIONS, "num_token_types": NUM_TYPES}
    return F.init_text_embedding(
        jax.random.key(0), VOCAB_SIZE, D_MODEL, dtype=dtype, **{**sizes, **options}
    )


IDS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
TYPES = np.array([[0, 0, 0, 1, 1], [0, 0, 2, 2, 2]])


def test_positions_of_one_row_serve_the_batch():
    params, positions = params_of(), np.array([4, 3, 2, 1, 0])
    at = lambda positions: embed(params, IDS, token_type_ids=TYPES, positions=positions)
    expected = at(np.stack([positions, positions]))
    assert_same_bits(at(positions), expected)
    assert_same_bits(at(positions[None]), expected)
    assert not np.array_equal(at(None), expected)


def test_scale_multiplies_the_rows_of_tokens_alone():
    params = params_of()
    scaled = embed(params, IDS, token_type_ids=TYPES, scale=1.7)
    tokens = params._replace(positions=None, token_types=None)
    extra = one_hot_sum(params, IDS, TYPES) - one_hot_sum(tokens, IDS)
    assert_close(scaled, 1.7 * one_hot_sum(tokens, IDS) + extra, magnitude=0.2)


@jitted
def pulled_back(params, cotangent, *ids, **options):
    rows = lambda params: F.apply_text_embedding(params, *ids, **options)
    return jax.vjp(rows, params)[1](cotangent)[0]


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_gradients_add_up_per_row(dtype):
    params = params_of(dtype)
    positions = np.array([[1, 1, 2, 3, 4], [2, 3, 4, 5, 6]])
    rng = np.random.default_rng(1)
    cotangent = rng.normal(size=(*IDS.shape, D_MODEL)).astype(np.float32).astype(dtype)
    options = {"token_type_ids": TYPES, "positions": positions}
    gradients = pulled_back(
        params, cotangent, IDS, padding_id=1, padding_position=1, **options
    )
    wide = np.asarray(cotangent, np.float64)
    for gradient, ids, frozen in (
        (gradients.token, IDS, 1),
        (gradients.token_types, TYPES, None),
        (gradients.positions, positions, 1),
    ):
        expected = np.zeros(gradient.weight.shape)
        np.add.at(expected, ids, wide)
        if frozen is not None:
            expected[frozen] = 0
            np.testing.assert_array_equal(np.asarray(gradient.weight)[frozen], 0)
        assert gradient.weight.dtype == dtype
        assert_close(gradient.weight, expected, magnitude=16.0)


@pytest.mark.device
def test_gradients_of_narrow_tables_add_up_in_float32():
    params = F.init_text_embedding(
        jax.random.key(0), 3, 2, num_positions=1, num_token_types=2, dtype=jnp.bfloat16
    )
    zeros = np.zeros((4096, 1), np.int32)
    cotangent = np.full((4096, 1, 2), 0.01, jnp.bfloat16)
    gradients = pulled_back(params, cotangent, zeros, token_type_ids=zeros)
    exact = 4096 * float(jnp.bfloat16(0.01))
    for table in gradients:
        row = np.asarray(table.weight, np.float64)[0]
        np.testing.assert_allclose(row, exact, rtol=2.0**-8)


@jax.jit
@jax.grad
def gradient_of_what_is_found(params, arrays):
    return jnp.nansum(F.apply_text_embedding(params, **arrays))


@pytest.mark.parametrize("name", ("token_ids", "token_type_ids", "positions"))
@pytest.mark.parametrize("bad", (-1, 100))
def test_out_of_range_is_an_error_or_nan(name, bad):
    params = params_of()
    arrays = {"token_ids": IDS, "token_type_ids": TYPES, "positions": IDS % 9}
    arrays = {n: np.array(a) for n, a in arrays.items()}
    arrays[name][1, 2] = bad
    with pytest.raises(ValueError, match=rf"{name}\[1, 2\]={bad} must lie in \[0, "):
        F.apply_text_embedding(params, **arrays)
    rows = np.isnan(embed(params, **arrays)).any(-1)
    assert np.argwhere(rows).tolist() == [[1, 2]]
    gradients = gradient_of_what_is_found(params, arrays)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_tables_of_other_dtypes_are_widened():
    params = params_of(jnp.bfloat16)
    fine = host.asarray(np.asarray(params.positions.weight, np.float32) + 2.0**-20)
    params = params._replace(positions=F.LearnedPositionalEmbeddingParams(fine))
    actual = embed(params, IDS, token_type_ids=TYPES)
    assert actual.dtype == jnp.bfloat16
    wide = embed(params, IDS, token_type_ids=TYPES, dtype=jnp.float32)
    assert_close(wide, one_hot_sum(params, IDS, TYPES), magnitude=0.2)
    assert_same_bits(actual, np.asarray(wide).astype(jnp.bfloat16))


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    params = params_of()
    plain = np.asarray(embed(params, IDS, token_type_ids=TYPES))
    with jax.set_mesh(mesh):
        ids, types = jax.device_put((IDS, TYPES), NamedSharding(mesh, P("a")))
        params = jax.device_put(params, NamedSharding(mesh, P()))
        actual = embed(params, ids, token_type_ids=types)
        assert_same_bits(actual, plain)
        spread = NamedSharding(mesh, P("a", None, None))
        assert actual.sharding.is_equivalent_to(spread, 3)


def test_init_draws_each_table():
    params = params_of(jnp.float32, init_std=0.5, padding_id=2)
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key, rows, **options: F.init_token_embedding(
        key, rows, D_MODEL, init_std=0.5, dtype=jnp.float32, **options
    )
    learned = F.init_learned_positional_embedding(
        keys[1], NUM_POSITIONS, D_MODEL, init_std=0.5, dtype=jnp.float32
    )
    assert_same_bits(params.token.weight, draw(keys[0], 11, padding_id=2).weight)
    assert_same_bits(params.positions.weight, learned.weight)
    assert_same_bits(params.token_types.weight, draw(keys[2], NUM_TYPES).weight)
    assert params_of().token.weight.dtype == jnp.result_type(float)
    bare = params_of(num_positions=None, num_token_types=None)
    assert bare.positions is None and bare.token_types is None


@pytest.mark.errors
def test_what_goes_with_which_table():
    params = params_of()
    given = "token_type_ids must be given if, and only if, there is a table"
    with pytest.raises(ValueError, match=given):
        F.apply_text_embedding(params, IDS)
    without = params._replace(token_types=None)
    with pytest.raises(ValueError, match=given):
        F.apply_text_embedding(without, IDS, token_type_ids=TYPES)
    bare = without._replace(positions=None)
    with pytest.raises(ValueError, match="positions must come with a table params"):
        F.apply_text_embedding(bare, IDS, positions=TYPES)
    with refused(r"token_type_ids.shape=\(5,\) must be token_ids.shape=\(2, 5\)"):
        F.apply_text_embedding(params, IDS, token_type_ids=TYPES[0])


@pytest.mark.errors
def test_sizes_must_fit():
    params = params_of()._replace(token_types=None)
    for bare in (params, params._replace(positions=None)):
        with refused(r"token_ids.shape=\(\) must be \(..., seq_len\)"):
            F.apply_text_embedding(bare, np.array(3))
    long = np.zeros((2, 10), np.int32)
    with pytest.raises(ValueError, match="seq_len=10 must be at most num_positions=9"):
        F.apply_text_embedding(params, long)
    for shape in ((4,), (2, 1), (3, 5), (1, 2, 5)):
        said = rf"positions.shape={re.escape(str(shape))} must broadcast to \(2, 5\)"
        with refused(said):
            F.apply_text_embedding(params, IDS, positions=np.zeros(shape, np.int32))
    for name, kind in (
        ("positions", F.LearnedPositionalEmbeddingParams),
        ("token_types", F.TokenEmbeddingParams),
    ):
        wide = kind(host.ones((9, 6)))
        message = (
            rf"params.{name}.weight.shape=\(9, 6\) must have the width of .*\(11, 4\);"
        )
        with pytest.raises(ValueError, match=message):
            F.apply_text_embedding(
                params._replace(**{name: wide}), IDS, token_type_ids=TYPES
            )


@pytest.mark.errors
def test_paddings_must_be_rows():
    params = params_of()._replace(token_types=None)
    with pytest.raises(
        ValueError, match=r"padding_id=11 must be an integer in \[0, 10\]"
    ):
        F.apply_text_embedding(params, IDS, padding_id=11)
    for position in (-1, 9, 1.5):
        message = rf"padding_position={position} must be an integer in \[0, 8\]"
        with refused(message):
            F.apply_text_embedding(
                params, IDS, positions=TYPES, padding_position=position
            )
    with pytest.raises(ValueError, match=r"padding_position=1 must .* with positions"):
        F.apply_text_embedding(params, IDS, padding_position=1)
    with refused("dtype=int32 must be a real float"):
        F.apply_text_embedding(params, IDS, dtype=jnp.int32)


@pytest.mark.errors
def test_sizes_are_checked_when_drawn():
    with pytest.raises(ValueError, match="num_positions=0 must be a positive integer"):
        params_of(num_positions=0)
    with pytest.raises(
        ValueError, match="num_token_types=0 must be a positive integer"
    ):
        params_of(num_token_types=0)
