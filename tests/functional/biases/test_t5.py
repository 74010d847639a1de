"""T5's bias: a table of buckets, against the paper and the code of its models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bucket_bias_oracles import t5_bias
from helpers import assert_same_bits, jitted, refused

import attnax.functional as F
from conformance.embeddings.records import load

apply = jitted(F.apply_position_bias)
MAX = 2**31 - 1
# Buckets, largest distance and direction; with thresholds that are no powers of two.
SETTINGS = ((32, 128, True), (32, 128, False), (14, 11, True), (3, 9, False))
RECORDS = {
    record.name: record
    for record in load("distance_biases")
    if "t5" in record.name or "mpnet" in record.name
}


def drawn(num_buckets, num_heads=3, dtype=np.float32):
    table = np.random.default_rng(0).normal(size=(num_buckets, num_heads))
    return F.TableBiasParams(table.astype(dtype))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_values_of_the_paper(settings):
    """A value of the table, whose bits a look-up keeps, known and traced."""
    num_buckets, max_distance, bidirectional = settings
    bias = F.T5Bias(3, num_buckets, max_distance, bidirectional=bidirectional)
    params = drawn(num_buckets)
    queries, keys = range(90, 97), range(200)
    want = t5_bias(params.table, queries, keys, max_distance, bidirectional)
    for q, k in ((queries, keys), (np.array(queries), np.array(keys))):
        got = apply(bias, params, q, k)
        assert_same_bits(got, want.astype(np.float32))


def test_positions_of_every_kind():
    """Two sequences, one of them of positions that jump, and the ends of int32."""
    bias, params = F.T5Bias(3, bidirectional=True), drawn(32)
    q = np.array([[0, 5, 2, MAX], [7, 7, -3, -(2**31)]], np.int32)
    k = np.array([[3, 90, -200], [-128, 8, MAX]], np.int32)
    want = t5_bias(params.table, q, k, 128, True)
    assert_same_bits(apply(bias, params, q, k), want.astype(np.float32))


def test_the_factor_multiplies_the_table():
    """LayoutLMv3 divides the sum of scores and biases by sqrt(head_dim)."""
    params = drawn(32)
    plain, scaled = (
        F.T5Bias(3, bidirectional=True, factor=factor) for factor in (1.0, 0.125)
    )
    bias = np.asarray(apply(plain, params, range(5), range(9)))
    assert_same_bits(
        apply(scaled, params, range(5), range(9)), bias * np.float32(0.125)
    )
    traced = apply(scaled, params, np.arange(5), np.arange(9))
    assert_same_bits(traced, bias * np.float32(0.125))


def test_a_decoder_has_one_bias_for_all_keys_after_the_query():
    bias, params = F.T5Bias(3, bidirectional=False), drawn(32)
    got = np.asarray(apply(bias, params, range(6), range(6)))
    for i in range(6):
        after = np.broadcast_to(params.table[0][:, None], (3, 6 - i))
        assert_same_bits(got[:, i, i:], after)


def test_the_output_is_not_symmetric_in_an_encoder():
    """Keys before and after the query have rows of their own."""
    bias, params = F.T5Bias(3, bidirectional=True), drawn(32)
    got = np.asarray(apply(bias, params, range(6), range(6)))
    off_diagonal = ~np.eye(6, dtype=bool)
    assert (got != got.swapaxes(1, 2))[:, off_diagonal].all()


def test_a_memory_in_front_of_the_keys_is_an_offset():  # x-transformers#103
    """Keys of a memory have negative positions, or the queries start after them."""
    bias, params = F.T5Bias(3, bidirectional=False), drawn(32)
    before = apply(bias, params, range(4), range(-3, 4))
    assert_same_bits(before, np.asarray(apply(bias, params, range(3, 7), range(7))))
    bottom = np.asarray(apply(bias, params, range(7), range(7)))[:, 3:]
    assert_same_bits(before, bottom)


def released_table(record):
    """The table that the layer of a record reads."""
    tables = [a for name, a in record.arrays.items() if name.startswith("state ")]
    if len(tables) == 1:
        return tables[0]
    part, layer = record.options["part"], record.options["layer"]
    block = layer if record.name.startswith("umt5") else 0
    name = f"{part}.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"
    (table,) = (a for n, a in record.arrays.items() if n.endswith(name))
    return table


@pytest.mark.parametrize("name", [n for n in RECORDS if ", cross" not in n])
def test_released_models(name):
    """Their buckets are made with a logarithm on the device, and are the same."""
    record = RECORDS[name]
    config, arrays = record.options["config"], record.arrays
    table = released_table(record)
    if config["model_type"] == "mpnet":
        # The numbers of its code; the config's only sizes the table.
        table, sizes, encoder = table[:32], (32, 128), True
    else:
        sizes = (
            config["relative_attention_num_buckets"],
            config["relative_attention_max_distance"],
        )
        encoder = record.options["part"] == "encoder"
    bias = F.T5Bias(table.shape[1], *sizes, bidirectional=encoder)
    params = F.TableBiasParams(table)
    positions = arrays["q_positions"], arrays["k_positions"]
    assert_same_bits(apply(bias, params, *positions), arrays["expected"])


def test_cross_attention_of_released_models_has_none():  # transformers#7323, t5#415
    crossed = [record for name, record in RECORDS.items() if ", cross" in name]
    assert crossed
    for record in crossed:
        assert not record.arrays["expected"].any()


def test_a_table_of_another_shape_is_no_parameter():  # NeMo#4440
    bias = F.T5Bias(3, bidirectional=True)
    for shape in ((3, 32), (32, 4), (31, 3), (32,)):
        with refused(r"params\.table\.shape=\(" + str(shape[0])):
            F.apply_position_bias(
                bias, F.TableBiasParams(np.ones(shape, np.float32)), [0], [0]
            )


def test_symbolic_lengths_export():
    bias, params = F.T5Bias(3, bidirectional=True), drawn(32)
    q, k = jax.export.symbolic_shape("q, k")
    shapes = [jax.ShapeDtypeStruct((n,), jnp.int32) for n in (q, k)]
    of = jax.jit(lambda q, k: F.apply_position_bias(bias, params, q, k))
    exported = jax.export.export(of)(*shapes)
    positions = np.arange(4, dtype=np.int32), np.arange(7, dtype=np.int32)
    assert_same_bits(exported.call(*positions), apply(bias, params, *positions))


def test_gradients_of_a_symbolic_batch_export():
    bias = F.T5Bias(2, num_buckets=8, bidirectional=True)

    def gradient(table):
        def loss(table):
            params = F.TableBiasParams(table)
            return (F.apply_position_bias(bias, params, range(4), range(5)) ** 2).sum()

        return jax.grad(loss)(table)

    (batch,) = jax.export.symbolic_shape("b")
    tables = jax.ShapeDtypeStruct((batch, 8, 2), jnp.float32)
    exported = jax.export.export(jax.jit(jax.vmap(gradient)))(tables)
    values = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
    assert_same_bits(exported.call(values)[1], jax.jit(gradient)(values[1]))


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"num_buckets": 31}, "num_buckets=31 must be even"),
        ({"num_buckets": -4}, r"num_buckets=-4 must be an integer in \[4, 4096\]"),
        ({"max_distance": 8}, "max_distance=8 must be more than 8"),
        ({"bidirectional": None}, "bidirectional=None must be"),
        ({"factor": float("nan")}, "factor=nan must be"),
    ),
)
def test_settings_that_are_none_are_refused(changed, message):
    with refused(message):
        F.T5Bias(**{"num_heads": 3, "bidirectional": True, **changed})
