"""The bias as a function of scores, at one score and at whole arrays of them."""

import bias_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, slow
from programs import array_sizes

import attnax.functional as F

SCALE = 0.5
# A table by distance, one by place, a closed form, and products of queries.
KINDS = "T5Bias", "WindowBias", "AlibiBias", "RelativeKeyBias"
WITH_SCORES = [
    name
    for name in bias_cases.RECORDS
    if getattr(F, name)._score is not F.PositionBias._score
]


def score_mod_of(case):
    return F.position_bias_score_mod(
        case.bias, case.params, case.q_positions, case.k_positions, **case.content
    )


def flex(score_mod, scores):
    """What flex attention of PyTorch does: one score, four vmaps over its indices."""

    def of_one(score, *indices):
        assert all(np.ndim(t) == 0 for t in (score, *indices))
        return score_mod(score, *indices)

    for axis in (3, 2, 1, 0):
        axes = [0, *(0 if axis == n else None for n in range(4))]
        of_one = jax.vmap(of_one, axes)
    return of_one(scores, *(jnp.arange(n) for n in scores.shape))


def scores_of(case, dtype="float32"):
    batch = case.q_positions.shape[:-1] or (1,)
    shape = (*batch, case.bias.num_heads, bias_cases.Q_LEN, bias_cases.K_LEN)
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


# Sines of angles up to 100 times a logarithm, which programs round differently.
ROUNDINGS = {"BoxRelationBias": 64}


def assert_adds(actual, scores, bias, roundings=1):
    """Both round a sum of products of few numbers below 10, or look up a number."""
    assert actual.dtype == scores.dtype
    expected = scores.astype(np.float64) + np.broadcast_to(bias, scores.shape)
    magnitude = np.abs(scores).max() + np.abs(bias).max() + 1
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=roundings * 2.0**-20 * magnitude
    )


@pytest.mark.parametrize("name", (*KINDS, *slow(*sorted({*WITH_SCORES} - {*KINDS}))))
def test_one_score_and_all_scores_have_the_bias_of_the_matrix(name):
    case = bias_cases.case(name, batch=(2,))
    scores, bias = scores_of(case), bias_cases.whole(case)
    both = jax.jit(
        lambda scores: (
            flex(score_mod_of(case), scores),
            F.lift_score_mod(score_mod_of(case), scale=SCALE)(scores),
        )
    )
    one_by_one, at_once = both(scores)
    roundings = ROUNDINGS.get(name, 1)
    assert_adds(one_by_one, scores, bias, roundings)
    assert_adds(at_once, np.float32(SCALE) * scores, bias, roundings)


@pytest.mark.parametrize("bias", [F.AlibiBias(2), F.T5Bias(2, bidirectional=False)])
def test_known_positions_give_the_bits_of_the_matrix(bias):
    params = F.init_position_bias(jax.random.key(0), bias, dtype=jnp.float32)
    arguments = (bias, params, range(40, 43), range(43))
    matrix = F.apply_position_bias(*arguments)
    zero = jnp.zeros(matrix.shape, jnp.float32)
    lifted = F.lift_score_mod(F.position_bias_score_mod(*arguments), scale=1.0)
    np.testing.assert_array_equal(jax.jit(lifted)(zero), matrix)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
@pytest.mark.parametrize(
    "bias", [F.AlibiBias(2), F.T5Bias(2, bidirectional=True), F.KerpleBias(2)]
)
def test_indices_of_any_integer_dtype_give_the_same_scores(bias, dtype):
    """A kernel counts in a dtype of its own, and differences of indices are signed."""
    params = F.init_position_bias(jax.random.key(0), bias, dtype=jnp.float32)
    matrix = np.asarray(F.apply_position_bias(bias, params, range(5), range(5)))
    scores = np.zeros((1, *matrix.shape), np.float32)
    with jax.enable_x64(dtype == "int64"):
        score_mod = F.position_bias_score_mod(bias, params, range(5), range(5))
        indices = np.ix_(*(np.arange(n, dtype=dtype) for n in scores.shape))
        actual = jax.jit(score_mod)(scores, *indices)
    assert_adds(actual, scores, matrix)


def test_scores_of_sixteen_bits_stay_so():
    bias = F.AlibiBias(2)
    score_mod = F.position_bias_score_mod(bias, None, range(3), range(3))
    assert score_mod(jnp.bfloat16(1.0), 0, 1, 0, 2).dtype == jnp.bfloat16


def test_scores_of_sixteen_bits_are_rounded_once():
    """The bias alone is not rounded before it is added to the score."""
    bias, score = F.AlibiBias(2), np.linspace(0.5, 8.0, 64).astype(jnp.bfloat16)
    score_mod = F.position_bias_score_mod(bias, None, [0], range(700, 764))
    matrix = F.apply_position_bias(bias, None, [0], range(700, 764))
    once = (score.astype(np.float32) + matrix[1, 0]).astype(jnp.bfloat16)
    actual = score_mod(jnp.asarray(score), 0, 1, 0, np.arange(64))
    np.testing.assert_array_equal(actual, once)


def test_a_bias_of_keys_broadcasts_with_queries_out_of_bounds():
    bias, k = F.AlibiBias(2, form="key"), np.arange(4, dtype=np.uint32)
    q = np.array([0, 2**31, 1], np.uint32)

    def both(q, k):
        score_mod = F.position_bias_score_mod(bias, None, q, k)
        indices = jnp.indices((1, 2, 3, 4), sparse=True)
        scores = score_mod(jnp.zeros((1, 1, 1, 1)), *indices)
        return scores, F.apply_position_bias(bias, None, q, k)

    scores, matrix = jax.jit(both)(q, k)
    np.testing.assert_array_equal(scores[0], matrix)
    assert np.isnan(scores[0, :, 1]).all() and np.isfinite(scores[0, :, ::2]).all()


@pytest.mark.parametrize(
    "bias",
    (
        F.TransformerXLBias(2, 4, 8),
        F.TransformerXLBias(2, 4, 8, max_distance=40, class_token=True),
        F.GemmaAudioBias(2, 4, 8, left=3),
        F.GemmaAudioBias(2, 4, 8, left=100),
    ),
    ids=str,
)
def test_one_score_needs_no_array_of_all_pairs(bias):
    params = F.init_position_bias(jax.random.key(0), bias)
    x = jax.ShapeDtypeStruct((128, 2, 4), jnp.float32)

    def one(x):
        content = {name: x for name in bias._reads}
        tokens = range(128), range(128)
        score_mod = F.position_bias_score_mod(bias, params, *tokens, **content)
        return score_mod(jnp.float32(0), 0, 1, 2, 3)

    assert max(array_sizes(jax.make_jaxpr(one)(x).jaxpr)) < 128 * 128


@pytest.mark.parametrize(
    "bias",
    (
        F.TransformerXLBias(2, 4, 8, key_term=False, max_distance=3),
        F.TransformerXLBias(2, 4, 8, key_term=False, max_distance=20),
        F.GemmaAudioBias(2, 4, 8, left=2, right=1),
        F.GemmaAudioBias(2, 4, 8, left=6, right=9),
    ),
    ids=str,
)
def test_few_and_many_distances_have_the_bias_of_the_matrix(bias):
    params = F.init_position_bias(jax.random.key(0), bias, init_std=1.0)
    q = np.random.default_rng(0).standard_normal((30, 2, 4)).astype(np.float32)
    positions = np.arange(30)

    def both(q, positions):
        arguments = (bias, params, positions, positions)
        score_mod = F.position_bias_score_mod(*arguments, q=q)
        indices = jnp.indices((1, 2, 30, 30), sparse=True)
        scores = score_mod(jnp.zeros((1, 1, 1, 1)), *indices)
        return scores[0], F.apply_position_bias(*arguments, q=q)

    scores, matrix = jax.jit(both)(q, positions)
    # Sums of 32 products of numbers below 4.
    assert_close(scores, np.asarray(matrix, np.float64), magnitude=512.0)


def test_a_learned_table_gets_its_gradient():  # attention-gym#20, pytorch#145208
    bias = F.T5Bias(2, 8, 20, bidirectional=True)
    params = F.init_position_bias(jax.random.key(0), bias, dtype=jnp.float32)
    weights = np.random.default_rng(2).standard_normal((1, 2, 30, 40)).astype("f")

    def by_score_mod(params):
        score_mod = F.position_bias_score_mod(bias, params, range(30), range(40))
        zero = jnp.zeros(weights.shape, jnp.float32)
        return (weights * F.lift_score_mod(score_mod, scale=1.0)(zero)).sum()

    def by_matrix(params):
        matrix = F.apply_position_bias(bias, params, range(30), range(40))
        return (weights[0] * matrix).sum()

    both = jax.jit(lambda p: (jax.grad(by_score_mod)(p), jax.grad(by_matrix)(p)))
    actual, expected = both(params)
    # Sums of at most 1200 numbers below 4, in float32 and in another order.
    bound = 2.0**-24 * np.abs(weights).sum()
    np.testing.assert_allclose(actual.table, expected.table, rtol=0, atol=bound)


@pytest.mark.errors
def test_scores_need_heads_queries_and_keys():
    of_scores = F.lift_score_mod(lambda score, *indices: score, scale=1.0)
    for shape in ((2, 2), (1, 1, 2, 2, 2)):
        with pytest.raises(ValueError, match=r"scores.shape=\(.* must be \(batch, num"):
            of_scores(jnp.zeros(shape))


@pytest.mark.errors
def test_what_is_no_function_is_refused():
    with pytest.raises(Exception, match=r"score_mod is a AlibiBias|^Type-check"):
        F.lift_score_mod(F.AlibiBias(2), scale=1.0)


@pytest.mark.errors
def test_the_scale_must_be_finite():
    with pytest.raises(ValueError, match="scale=nan must be a finite number"):
        F.lift_score_mod(lambda score, *indices: score, scale=float("nan"))


@pytest.mark.parametrize("bias", [F.AlibiBias(4), F.T5Bias(4, bidirectional=True)])
def test_flex_attention_of_tokamax_has_the_bias(bias, monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest"])  # tokamax reads its flags from there
    module = "tokamax._src.ops.flex_attention.base"
    base = pytest.importorskip(module, reason="tokamax is not installed")
    heads = np.random.default_rng(3).standard_normal((3, 2, 6, 4, 8))
    q, k, v = jnp.asarray(heads, jnp.float32)
    params = F.init_position_bias(jax.random.key(0), bias, dtype=jnp.float32)
    matrix = F.apply_position_bias(bias, params, range(6), range(6))
    score_mod = F.position_bias_score_mod(bias, params, range(6), range(6))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        lifted = F.lift_score_mod(score_mod, scale=SCALE)
        actual = base.FlexAttention()(q, k, v, score_mod=lifted)
        expected = jax.nn.dot_product_attention(q, k, v, bias=matrix, scale=SCALE)
    # Scores below 16 round in float32, and so does their softmax.
    assert_close(actual, expected, magnitude=16 * np.abs(heads).max())
