"""What every position bias keeps: batches, dtypes, positions known and traced."""

import os

import bias_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_oracles import attention
from helpers import assert_same_bits, jitted, refused, slow

import attnax.functional as F

HOOKED = os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "1"
KEY = jax.random.key(0)
T5, T5_DECODER = (F.T5Bias(3, 8, 16, bidirectional=both) for both in (True, False))
ALIBI = F.AlibiBias(3, form="signed")
# Tables and closed forms, whose values are the same bits however they are made.
EXACT = (
    T5,
    T5_DECODER,
    ALIBI,
    F.AlibiBias(3),
    F.AlibiBias(3, form="key"),
    F.AlibiBias(3, form="key", factor=0.3, in_bfloat16=True),
    F.WindowBias(3, (3, 4), num_prefix_tokens=1),
)
MIN, MAX = -(2**31), 2**31 - 1
apply = jitted(F.apply_position_bias)
whole = jitted(lambda bias, params: F.apply_position_bias(bias, params, *TOKENS))
TOKENS = range(12), range(12)


def params_of(bias, dtype=jnp.float32):
    return F.init_position_bias(KEY, bias, init_std=1.0, dtype=dtype)


def named(bias):
    return str(bias)


def agree(actual, expected):
    """Sums of products of few numbers of size 1 to 10, rounded in another order."""
    assert actual.dtype == expected.dtype
    magnitude = 1 + np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-20 * magnitude)


@pytest.mark.parametrize("name", bias_cases.RECORDS)
def test_every_way_to_make_a_bias_agrees(name):
    """A batch, `vmap`, each sequence alone, known positions, and bfloat16.

    All are outputs of one program, whose float32 values are the same. Positions of the
    first sequence count up, so that they may be known, and those of the other do not.
    """
    case = bias_cases.case(name, batch=(2,))
    case.q_positions[0], case.k_positions[0] = np.arange(1, 4), np.arange(5)

    @jax.jit
    def ways(params, *tokens):
        def of(q, k, content, dtype=None):
            return F.apply_position_bias(
                case.bias, params, q, k, **content, dtype=dtype
            )

        first, last = (jax.tree.map(lambda x, n=n: x[n], tokens) for n in range(2))
        known = [
            of(range(1, 4), range(5), first[2], dtype)
            for dtype in (jnp.float32, jnp.bfloat16)
        ]
        return of(*tokens), jax.vmap(of)(*tokens), *known, of(*last)

    tokens = case.q_positions, case.k_positions, case.content
    together, mapped, known, narrow, last = ways(case.params, *tokens)
    assert together.shape == (2, case.bias.num_heads, 3, 5)
    assert together.dtype == jnp.float32
    together = np.asarray(together)
    agree(np.asarray(mapped), together)
    agree(np.asarray(known), together[0])
    agree(np.asarray(last), together[1])
    assert_same_bits(narrow, np.asarray(known).astype(jnp.bfloat16))


@pytest.mark.parametrize("bias", EXACT, ids=named)
def test_every_way_to_say_positions_gives_the_same_bits(bias):
    params, table = params_of(bias), whole(bias, params_of(bias))
    queries, keys = range(4, 9), range(2, 12)
    want = np.asarray(table)[:, 4:9, 2:12]
    assert_same_bits(apply(bias, params, queries, keys), want)
    arrays = [np.array(t, np.int32) for t in (queries, keys)]
    assert_same_bits(apply(bias, params, *arrays), want)
    order = np.random.default_rng(0).permutation(10)
    shuffled = apply(bias, params, arrays[0], arrays[1][order])
    assert_same_bits(shuffled, want[..., order])
    assert_same_bits(apply(bias, params, arrays[0], arrays[1][None])[0], want)


@pytest.mark.parametrize("bias", EXACT, ids=named)
def test_a_step_of_decoding_keeps_its_bias(bias):
    # keras-hub#2861 and #2932, candle#899, TensorRT-LLM#13870, vllm#945
    params = params_of(bias)
    table = np.asarray(whole(bias, params))
    for position in (0, 5, 11):
        now = apply(bias, params, np.array([position]), TOKENS[1])
        assert_same_bits(now, table[:, position : position + 1])


@pytest.mark.parametrize("bias", EXACT, ids=named)
def test_left_padding_keeps_the_bias(bias):
    params = params_of(bias)
    mask = np.array([[False] * 7 + [True] * 5, [True] * 12])
    positions = np.asarray(F.positions_from_mask(mask))
    padded = np.asarray(apply(bias, params, positions, positions))
    table = np.asarray(whole(bias, params))
    assert_same_bits(padded[0, :, 7:, 7:], table[:, :5, :5])
    assert_same_bits(padded[1], table)


@pytest.mark.parametrize("bias", EXACT, ids=named)
def test_packed_documents_have_the_bias_of_each(bias):
    params = params_of(bias)
    firsts = 5, 3
    segments = np.array([[1] * first + [2] * (12 - first) for first in firsts])
    positions = np.asarray(F.positions_from_segment_ids(segments))
    packed = np.asarray(apply(bias, params, positions, positions))
    table = np.asarray(whole(bias, params))
    for row, first in zip(packed, firsts, strict=True):
        assert_same_bits(row[:, :first, :first], table[:, :first, :first])
        assert_same_bits(row[:, first:, first:], table[:, :-first, :-first])


@pytest.mark.parametrize("bias", (T5, T5_DECODER, ALIBI, F.AlibiBias(3)), ids=named)
@pytest.mark.parametrize("shift", (-1000, 2**30))
def test_distances_alone_count(bias, shift):
    params = params_of(bias)
    positions = np.arange(12, dtype=np.int32)
    moved = apply(bias, params, positions + shift, positions + shift)
    assert_same_bits(moved, np.asarray(whole(bias, params)))


@pytest.mark.parametrize("bias", (T5, F.AlibiBias(3)), ids=named)
def test_a_difference_outside_int32_counts_as_the_nearest(bias):
    """The same for traced positions, known ones, and in a function of scores."""
    params = params_of(bias)
    known = range(MIN, MIN + 2), range(MAX - 1, MAX + 1)
    traced = tuple(np.array(t, np.int32) for t in known)
    far = np.asarray(apply(bias, params, np.zeros(1, np.int32), traced[1][1:]))
    for q, k in (known, traced):
        bias_of_pairs = np.asarray(apply(bias, params, q, k))
        assert_same_bits(bias_of_pairs, np.broadcast_to(far, (3, 2, 2)))
        score_mod = F.position_bias_score_mod(bias, params, q, k)
        heads, zero = jnp.arange(3), jnp.zeros(3, jnp.float32)
        assert_same_bits(jax.jit(score_mod)(zero, 0, heads, 0, 1), far[:, 0, 0])


def test_batch_axes_broadcast():
    """One query for each sequence of two, against keys that all share, and three."""
    params = params_of(T5)
    table = np.asarray(whole(T5, params))
    steps, keys = np.array([[3], [8]], np.int32), np.arange(12, dtype=np.int32)
    both = apply(T5, params, steps, keys)
    assert_same_bits(both, np.stack([table[:, 3:4], table[:, 8:9]]))
    three = apply(T5, params, steps, np.stack([keys[None]] * 3))
    assert three.shape == (3, 2, 3, 1, 12)
    assert_same_bits(three[1], both)


@pytest.mark.parametrize("bias", (T5, ALIBI), ids=named)
@pytest.mark.parametrize("lengths", ((0, 3), (3, 0), (0, 0)))
def test_no_queries_or_no_keys(bias, lengths):
    params, known = params_of(bias), tuple(map(range, lengths))
    traced = [np.zeros(length, np.int32) for length in lengths]

    def of(params, *positions):
        return F.apply_position_bias(bias, params, *positions)

    for shapes in (
        jax.eval_shape(lambda: of(params, *known)),
        jax.eval_shape(of, params, *traced),
    ):
        assert shapes.shape == (3, *lengths)
    if params is not None:
        zero = jax.jit(jax.grad(lambda p: of(p, *known).sum()))(params)
        assert not zero.table.any()


@pytest.mark.parametrize("bias", EXACT, ids=named)
def test_a_traced_position_out_of_range_gives_nan(bias):
    params = params_of(bias)
    q = np.array([2**31 + 5, 1], np.uint32)
    k = np.array([0, 3, 2**32 - 1], np.uint32)
    got = np.asarray(apply(bias, params, q, k))
    bad = np.array([[True, True, True], [False, False, True]])
    if bias in (F.AlibiBias(3, form="key"), EXACT[5]):
        assert np.isnan(got[:, bad]).all()
    np.testing.assert_array_equal(np.isnan(got), np.broadcast_to(bad, got.shape))
    table = np.asarray(whole(bias, params))
    assert_same_bits(got[:, 1, :2], table[:, 1, [0, 3]])
    score_mod = jax.jit(
        lambda q, k, index: F.position_bias_score_mod(bias, params, q, k)(
            jnp.zeros(3, jnp.float32), 0, jnp.arange(3), *index
        )
    )
    assert np.isnan(score_mod(q, k, (0, 1))).all()
    assert np.isnan(score_mod(q, k, (1, 2))).all()
    assert_same_bits(score_mod(q, k, (1, 1)), table[:, 1, 3])


def test_a_float64_table_gives_float64():
    with jax.enable_x64(True):
        params = params_of(T5, jnp.float64)
        assert params.table.dtype == jnp.float64
        bias = F.apply_position_bias(T5, params, range(3), range(4))
        assert bias.dtype == jnp.float64
        assert F.apply_position_bias(ALIBI, None, [0], [1]).dtype == jnp.float32


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_a_narrow_table_gives_its_numbers_in_float32(dtype):
    params = params_of(T5, dtype)
    assert params.table.dtype == dtype
    wide = F.TableBiasParams(np.asarray(params.table).astype(np.float32))
    for positions in (range(12), np.arange(12, dtype=np.int32)):
        bias = apply(T5, params, positions, positions)
        assert bias.dtype == jnp.float32
        assert_same_bits(bias, apply(T5, wide, positions, positions))


def test_drawn_tables_have_their_deviation():  # NeMo#4440
    wide = F.T5Bias(64, bidirectional=True)
    table = np.asarray(F.init_position_bias(KEY, wide, dtype=jnp.float32).table)
    assert table.shape == (32, 64)
    # 2048 draws: the deviation of a deviation is 0.02 / sqrt(4096).
    assert abs(table.std() - 0.02) < 5 * 0.02 / 64
    assert abs(table.mean()) < 5 * 0.02 / 45
    wide = F.init_position_bias(KEY, T5, init_std=0.3, dtype=jnp.float32).table
    narrow = F.init_position_bias(KEY, T5, init_std=0.3, dtype=jnp.bfloat16).table
    assert_same_bits(narrow, np.asarray(wide).astype(jnp.bfloat16))
    assert not F.init_position_bias(KEY, T5, init_std=0.0).table.any()
    assert F.init_position_bias(KEY, ALIBI) is None


def test_records_are_static_and_equal_by_their_settings():
    for bias in EXACT:
        assert jax.tree.leaves(bias) == []
        assert hash(bias) == hash(type(bias)(**_settings(bias)))
        assert bias == type(bias)(**_settings(bias))
        with pytest.raises(AttributeError):
            bias.num_heads = 5
    assert T5 != T5_DECODER
    seen = jax.jit(lambda bias: jnp.zeros(bias.num_heads))(T5)
    assert seen.shape == (3,)


def _settings(bias):
    return {name: getattr(bias, name) for name in type(bias).__dataclass_fields__}


def test_a_bias_holds_no_infinity_and_masks_nothing():
    """Keys after the query have the bias of their bucket; a mask removes them."""
    for bias in EXACT:
        assert np.isfinite(whole(bias, params_of(bias))).all()
    params = params_of(T5_DECODER)
    after = np.asarray(whole(T5_DECODER, params))[:, 0, 1:]
    first = np.asarray(params.table)[0]
    assert_same_bits(after, np.broadcast_to(first[:, None], after.shape))


@pytest.mark.parametrize("bias, scale", ((T5_DECODER, 1.0), (ALIBI, None)))
def test_attention_of_jax_takes_it_as_it_is(bias, scale):
    # transformers#26350 and #47014: T5 had no fused attention for three years.
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, 2, 12, 3, 4)).astype(np.float32)
    params, causal = params_of(bias), np.tril(np.ones((12, 12), bool))
    run = jax.jit(
        lambda q, k, v: jax.nn.dot_product_attention(
            q,
            k,
            v,
            bias=F.apply_position_bias(bias, params, *TOKENS),
            mask=causal,
            scale=scale,
        )
    )
    table = whole(bias, params)
    of_scores = 0.5 if scale is None else scale
    want = attention(q, k, v, table, scale=of_scores, mask=causal)
    # Scores of size 10 at most, whose rounding in float32 weights carry.
    np.testing.assert_allclose(run(q, k, v), want, rtol=0, atol=2e-5)


def test_one_bias_serves_all_layers():  # CTranslate2#1335
    """Made above a scan over layers, it is no part of the layer's program."""
    params = params_of(T5)

    def layers(x):
        bias = F.apply_position_bias(T5, params, *TOKENS)
        layer = lambda x, _: (jnp.tanh(bias @ x), None)
        return jax.lax.scan(layer, x, length=6)[0]

    jaxpr = jax.make_jaxpr(layers)(jax.ShapeDtypeStruct((3, 12, 2), jnp.float32))
    (scan,) = (e for e in jaxpr.eqns if e.primitive.name == "scan" if _length(e) == 6)
    inner = str(scan.params["jaxpr"])
    assert "attnax_spread" in str(jaxpr) and "attnax_spread" not in inner


def _length(equation):
    return equation.params["length"]


@pytest.mark.errors
@pytest.mark.parametrize("function", (F.apply_position_bias, F.position_bias_score_mod))
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"bias": ALIBI}, "params must be None: AlibiBias has no parameters"),
        (
            {"params": None},
            "params is a NoneType, but must be an attnax.functional.Table",
        ),
        ({"params": {"table": 0}}, r"make it with attnax.*TableBiasParams\(\*\*par"),
        (
            {"params": F.TableBiasParams(np.ones((3, 8), np.float32))},
            r"params.table.shape=\(3, 8\) must be \(8, 3\)",
        ),
        (
            {"params": F.TableBiasParams(np.ones((8, 3), np.int32))},
            "params.table.dtype=int32 must be a real float",
        ),
        ({"q_positions": [0.5, 1.0]}, "q_positions.dtype=float64 must be integer"),
        ({"k_positions": [[True]]}, "k_positions.dtype=bool must be integer"),
        (
            {"k_positions": np.zeros(3, jnp.bfloat16)},
            "k_positions.dtype=bfloat16 must be integer",
        ),
        ({"q_positions": 3}, r"q_positions.shape=\(\) must be \(..., q_len"),
        ({"k_positions": [0, 2**31]}, r"k_positions\[1\]=2147483648 must lie in"),
        (
            {"q_positions": [[0]] * 2, "k_positions": [[0]] * 3},
            r"q_positions with batch axes \(2,\) and k_positions with batch axes \(3",
        ),
        ({"q": np.ones((1, 3, 2), np.float32)}, "q must be None: T5Bias does not"),
        ({"k": np.ones((1, 3, 2), np.float32)}, "k must be None: T5Bias does not"),
        ({"precision": "most"}, "precision='most' must be a precision of"),
    ),
)
def test_arguments_that_do_not_fit_are_refused(function, changed, message):
    valid = {"bias": T5, "params": F.TableBiasParams(np.ones((8, 3), np.float32))}
    valid |= {"q_positions": [0], "k_positions": [0, 1]}
    with refused(message):
        function(**{**valid, **changed})


def test_a_bias_beyond_float16_is_its_largest_number():
    bias = F.AlibiBias(2, form="signed")
    largest, at = np.finfo(np.float16).max, [0, 2**27]
    far = F.apply_position_bias(bias, None, at, at, dtype=jnp.float16)
    np.testing.assert_array_equal(far[0], [[0, largest], [-largest, 0]])


@pytest.mark.errors
@pytest.mark.skipif(HOOKED, reason="the annotation refuses it")
def test_what_is_no_record_is_refused():
    for other in ("t5", F.T5Bias, None):
        with pytest.raises(TypeError, match="bias must be a record of a position bias"):
            F.apply_position_bias(other, None, [0], [0])


@pytest.mark.errors
def test_a_known_position_outside_a_window_is_refused():
    window = EXACT[-1]
    with refused(r"k_positions\[1\]=13 must lie in \[0, 13\)"):
        F.apply_position_bias(window, params_of(window), [0], [0, 13])


@pytest.mark.errors
def test_functions_of_scores_take_one_batch_axis():
    params, positions = params_of(T5), np.zeros((2, 1, 3), np.int32)
    with refused(r"q_positions and k_positions with batch axes \(2, 1\) must have one"):
        F.position_bias_score_mod(T5, params, positions, positions)


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"key": 0}, "key is an int"),
        ({"init_std": -1.0}, "init_std=-1.0 must"),
        ({"dtype": jnp.int32}, "dtype=int32 must be a real float"),
    ),
)
def test_draws_that_do_not_fit_are_refused(changed, message):
    with refused(message):
        F.init_position_bias(**{"key": KEY, "bias": T5, **changed})


@pytest.mark.parametrize("bias", (T5, *slow(*EXACT[1:])), ids=named)
def test_outside_jit_it_is_the_same(bias):
    params = params_of(bias)
    positions = np.arange(12, dtype=np.int32)
    for q, k in ((range(4, 9), range(2, 12)), (positions[::-1], positions)):
        eager = F.apply_position_bias(bias, params, q, k)
        assert_same_bits(eager, apply(bias, params, q, k))
