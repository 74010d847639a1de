"""The bias of Transformer-XL and its kin, in every form, against its equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformer_xl_bias_oracles as oracle
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix, normal

import attnax.functional as F

HEADS, WIDTH, FEATURES, LENGTH = 3, 4, 10, 11
SIZES = HEADS, WIDTH, FEATURES
HALVES = {"layout": "sin_cos", "segments": True}
BIASES = {
    "conformer": F.TransformerXLBias(*SIZES),
    "no keys": F.TransformerXLBias(*SIZES, key_term=False, factor=2.0),
    "xlnet": F.TransformerXLBias(*SIZES, **HALVES),
    "clamped": F.TransformerXLBias(*SIZES, layout="sin_cos", max_distance=3),
    "funnel": F.TransformerXLBias(*SIZES, **HALVES, class_segment=2, class_token=True),
    "segments alone": F.TransformerXLBias(*SIZES, segments=True, key_term=False),
}
Q, K = normal(0, 2, LENGTH, HEADS, WIDTH), normal(1, 2, LENGTH, HEADS, WIDTH)
# A class segment at position 0, and at another where no class token hides it.
SEGMENTS = np.array([[2, 0, 0, 0, 0, 2, 1, 1, 1, 1, 1], [2, 1, 1, 1] + [0] * 7])
PARAMS = F.TransformerXLBiasParams(
    weight=normal(2, HEADS, WIDTH, FEATURES),
    v=normal(3, HEADS, WIDTH),
    u=normal(4, HEADS, WIDTH),
    s=normal(5, HEADS, WIDTH),
    segment_keys=normal(6, 2, HEADS, WIDTH),
)
named = pytest.mark.parametrize(
    "name",
    ("conformer", "xlnet", "funnel", *slow("no keys", "clamped", "segments alone")),
)
both = pytest.mark.parametrize("known", (True, False), ids=("known", "traced"))


def content(bias, q_places=slice(None), k_places=slice(None)):
    """What a record reads of the tokens at some places of `Q` and `K`."""
    q, k = Q[:, q_places], K[:, k_places]
    if bias.segments:
        q, k_segments = (q, SEGMENTS[:, q_places]), SEGMENTS[:, k_places]
        return {"q": q, "k": (k, k_segments) if bias.key_term else k_segments}
    return {"q": q, "k": k} if bias.key_term else {"q": q}


def encoder(bias):
    """Sines and cosines of a distance, query minus key."""
    most = bias.max_distance

    def encode(distance):
        if most is not None:
            distance = max(-most, min(most, distance))
        in_turn = bias.layout == "interleaved"
        return oracle.sinusoids(distance, FEATURES, interleaved=in_turn)

    return encode


def expected(bias, params, q_positions, k_positions, given, encode=None):
    """The bias in float64, of the same positions for every sequence."""
    q, k = given["q"], given.get("k")
    (q, q_segments), (k, k_segments) = (
        t if isinstance(t, tuple) else (t, t) for t in (q, k)
    )
    pairs = oracle.distances(q_positions, k_positions)
    encode = encode or encoder(bias)
    out = oracle.position_bias(q, params.v, params.weight, encode, pairs)
    if bias.segments:
        a, b = q_segments[:, :, None], k_segments[:, None]
        others = (a != b) & (a != bias.class_segment) & (b != bias.class_segment)
        out = out + oracle.segment_bias(q, params.s, params.segment_keys, others)
    if bias.class_token:
        out[:, :, np.array(q_positions) <= 0] = 0
        out[..., np.array(k_positions) <= 0] = 0
    if bias.key_term:
        out = out + oracle.content_bias(params.u, k)
    return out * WIDTH**0.5 * bias.factor


def close(bias, given, roundings=2):
    """The largest sum of magnitudes, each of which is rounded a few times.

    Sines and cosines are off by 2**-23 of 1, and so are the parts of a sum of angles.
    """
    size = jax.tree.map(np.abs, (PARAMS, given))
    ones = [0] * Q.shape[1]
    length = {
        n: (t[0] if isinstance(t, tuple) else t).shape[1] for n, t in given.items()
    }
    k_len = length.get("k", LENGTH)
    plain = F.TransformerXLBias(*SIZES, segments=bias.segments, key_term=bias.key_term)
    sums = expected(
        plain,
        *size[:1],
        ones[: length["q"]],
        ones[:k_len],
        size[1],
        lambda _: np.ones(10),
    )
    return {"magnitude": sums.max() * bias.factor * WIDTH**0.5, "roundings": roundings}


@named
def test_every_form_is_the_equation(name):
    bias, positions = BIASES[name], (range(-1, 6), range(LENGTH))
    given = content(bias, slice(0, 7))
    wanted = expected(bias, PARAMS, *positions, given)
    for actual in forms(bias, PARAMS, *positions, batch=2, **given):
        assert_close(actual, wanted, **close(bias, given))


@named
def test_positions_in_any_order(name):
    bias = BIASES[name]
    positions = np.random.default_rng(7).integers(-9, 9, (2, LENGTH))
    actual = matrix(bias, PARAMS, *positions, **content(bias))
    wanted = expected(bias, PARAMS, *positions, content(bias))
    assert_close(actual, wanted, **close(bias, content(bias)))


@pytest.mark.parametrize("name", ("conformer", "clamped"))
@pytest.mark.parametrize(
    "q_first, k_first", ((30, 2), (2, 30)), ids=("after", "before")
)
def test_all_keys_on_one_side_of_the_queries(name, q_first, k_first):
    bias = BIASES[name]
    positions = [range(first, first + LENGTH) for first in (q_first, k_first)]
    actual = matrix(bias, PARAMS, *positions, **content(bias))
    wanted = expected(bias, PARAMS, *positions, content(bias))
    assert_close(actual, wanted, **close(bias, content(bias)))


@pytest.mark.parametrize("name", ("conformer", *slow("clamped")))
def test_only_the_distance_counts(name):
    bias = BIASES[name]
    tolerance = close(bias, content(bias), roundings=4)
    at_zero = matrix(bias, PARAMS, range(LENGTH), range(LENGTH), **content(bias))
    for first in (-(2**31), 10**9, 2**31 - LENGTH):
        positions = np.arange(first, first + LENGTH).astype(np.int32)
        moved = matrix(bias, PARAMS, positions, positions, **content(bias))
        assert_close(moved, at_zero, **tolerance)
    last = range(first, first + LENGTH)
    assert_close(
        matrix(bias, PARAMS, last, last, **content(bias)), at_zero, **tolerance
    )


def test_distances_that_int32_does_not_hold():
    bias, places = BIASES["conformer"], slice(0, 2)
    positions = range(-(2**31), 2 - 2**31), range(2**31 - 2, 2**31)
    given = content(bias, places, places)
    wanted = expected(bias, PARAMS, *positions, given)
    actual = matrix(bias, PARAMS, *positions, **given)
    assert_close(actual, wanted, **close(bias, given))


@pytest.mark.parametrize("name", ("conformer", *slow("clamped", "xlnet")))
def test_pieces_of_a_sequence_have_the_bias_of_the_whole(name):
    """Decoding with a cache, left padding and packed documents."""
    bias = BIASES[name]
    given = content(bias)
    tolerance = close(bias, given, roundings=4)
    whole = matrix(bias, PARAMS, range(LENGTH), range(LENGTH), **given)
    step = content(bias, slice(7, 8))
    cached = matrix(bias, PARAMS, np.array([7]), np.arange(LENGTH), **step)
    assert_close(cached, whole[:, :, 7:8], **tolerance)
    # Two rows of padding before one sequence, and a document of four tokens.
    positions = np.array([np.arange(-2, 9), [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]])
    batched = matrix(bias, PARAMS, positions, positions, **given)
    assert_close(batched[0], whole[0], **tolerance)
    last = content(bias, slice(4, 11), slice(4, 11))
    alone = expected(bias, PARAMS, range(7), range(7), last)
    assert_close(batched[1, :, 4:, 4:], alone[1], **tolerance)


def test_a_class_token_has_the_bias_of_the_content_alone():
    bias = BIASES["funnel"]
    for positions in (range(-3, 8), np.arange(-3, 8)):
        out = matrix(bias, PARAMS, positions, positions, **content(bias))
        of_keys = np.broadcast_to(np.asarray(out)[:, :, :1], out.shape)
        assert_same_bits(out[:, :, :4], of_keys[:, :, :4])
        assert_same_bits(out[..., :4], of_keys[..., :4])


def test_negated_positions_reverse_the_distance():
    """XLNet's `bi_data`, in half of a batch."""
    bias = BIASES["xlnet"]
    signed = np.array([[1], [-1]]) * np.arange(LENGTH)
    actual = matrix(bias, PARAMS, signed, signed, **content(bias))
    for n in range(2):
        wanted = expected(bias, PARAMS, signed[n], signed[n], content(bias))
        assert_close(actual[n], wanted[n], **close(bias, content(bias)))


def test_distances_beyond_the_most_are_alike():
    bias = BIASES["clamped"]
    for positions in (range(LENGTH), np.arange(LENGTH)):
        none = F.TransformerXLBias(
            *SIZES, layout="sin_cos", max_distance=3, key_term=False
        )
        out = np.asarray(matrix(none, PARAMS, positions, positions, q=Q))
        far = jnp.asarray(out[:, :, 0, 3:])
        assert_close(
            far, np.asarray(far)[..., :1] + 0 * far, **close(bias, content(bias))
        )
        assert (np.abs(out[:, :, 0, 2] - out[:, :, 0, 3]) > 1e-3).all()


def test_a_vector_beside_the_queries_stands_for_the_term_of_keys():
    bias = BIASES["conformer"]
    without = F.TransformerXLBias(*SIZES, key_term=False)
    positions = range(LENGTH), range(LENGTH)
    whole = matrix(bias, PARAMS, *positions, q=Q, k=K)
    part = matrix(without, PARAMS, *positions, q=Q)
    term = bias.factor * np.einsum("hd,bkhd->bhk", PARAMS.u, K)[:, :, None]
    assert_close(whole, part + term, **close(bias, content(bias)))


@pytest.mark.parametrize(
    ("name", "known"),
    (
        ("xlnet", True),
        ("clamped", True),
        pytest.param("xlnet", False, marks=pytest.mark.slow),
        ("clamped", False),
    ),
)
def test_gradients(name, known):
    bias = BIASES[name]
    positions = range(LENGTH) if known else np.arange(LENGTH)
    weights, given = normal(8, 2, HEADS, LENGTH, LENGTH), content(bias)
    _, segments = given["q"] if bias.segments else (None, SEGMENTS)

    def loss(params, q, k):
        if bias.segments:
            q, k = (q, segments), (k, segments)
        out = F.apply_position_bias(bias, params, positions, positions, q=q, k=k)
        return (weights * out).sum()

    of_params, of_q, of_k = jax.jit(jax.grad(loss, (0, 1, 2)))(PARAMS, Q, K)
    w = weights.astype(np.float64) * bias.factor
    pairs = oracle.distances(range(LENGTH), range(LENGTH))
    r = np.stack([encoder(bias)(c) for c in pairs.ravel()]).reshape(*pairs.shape, -1)
    keys = np.einsum("hdm,ijm->ijhd", PARAMS.weight, r)
    wanted_q = np.einsum("bhij,ijhd->bihd", w, keys)
    wanted_k = np.einsum("bhij,hd->bjhd", w, PARAMS.u)
    wanted = {
        "weight": np.einsum("bhij,bihd,ijm->hdm", w, Q + PARAMS.v, r),
        "v": np.einsum("bhij,ijhd->hd", w, keys),
        "u": np.einsum("bhij,bjhd->hd", w, K),
    }
    if bias.segments:
        other = (segments[:, :, None] != segments[:, None]).astype(int)
        rows = np.eye(2)[other]
        of_pairs = np.einsum("bijs,shd->bijhd", rows, PARAMS.segment_keys)
        wanted_q += np.einsum("bhij,bijhd->bihd", w, of_pairs)
        wanted["s"] = np.einsum("bhij,bijhd->hd", w, of_pairs)
        wanted["segment_keys"] = np.einsum("bhij,bijs,bihd->shd", w, rows, Q + PARAMS.s)
    # Sums of at most 242 products of numbers below 4, and 10 of them in each key: the
    # magnitudes of a sum are below 242 * 20, and errors of either sign mostly cancel.
    for name, value in wanted.items():
        assert_close(getattr(of_params, name), value, magnitude=500.0)
    assert_close(of_q, wanted_q, magnitude=100.0)
    assert_close(of_k, wanted_k, magnitude=100.0)


def test_queries_and_keys_of_bfloat16_are_widened():
    bias = BIASES["xlnet"]
    low = [jnp.asarray(x, jnp.bfloat16) for x in (Q, K)]
    wide = [x.astype(jnp.float32) for x in low]
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), PARAMS)
    wide_params = jax.tree.map(lambda x: x.astype(jnp.float32), params)
    for positions in (range(LENGTH), np.arange(LENGTH)):
        narrow, widened = (
            matrix(bias, p, positions, positions, q=(q, SEGMENTS), k=(k, SEGMENTS))
            for p, (q, k) in ((params, low), (wide_params, wide))
        )
        assert narrow.dtype == jnp.float32
        assert_same_bits(narrow, widened)


def test_a_traced_position_outside_int32_gives_nan():
    bias = BIASES["funnel"]
    positions = np.array([0, 2**31, 1], np.uint32)
    given = content(bias, slice(0, 3), slice(0, 3))
    out = np.asarray(matrix(bias, PARAMS, positions, np.arange(3), **given))
    assert np.isnan(out[:, :, 1]).all()
    assert np.isfinite(out[:, :, ::2]).all()


def test_no_queries_and_no_keys():
    bias = BIASES["conformer"]
    for q, k in ((Q[:, :0], K), (Q, K[:, :0])):
        positions = range(q.shape[1]), range(k.shape[1])
        of = lambda q, k, at=positions: F.apply_position_bias(
            bias, PARAMS, *at, q=q, k=k
        )
        assert jax.eval_shape(of, q, k).shape == (2, HEADS, *map(len, positions))


def test_initial_parameters():
    init = jitted(F.init_position_bias)
    made = init(jax.random.key(0), BIASES["xlnet"], init_std=0.5, dtype="float32")
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(np.shape, PARAMS)
    numbers = np.concatenate([np.ravel(x) for x in made])
    assert 0.4 < numbers.std() < 0.6
    assert len(np.unique(numbers)) == numbers.size
    low = init(jax.random.key(0), BIASES["xlnet"], init_std=0.5, dtype="bfloat16")
    assert_same_bits(low.v, np.asarray(made.v).astype(jnp.bfloat16))
    plain = jax.eval_shape(
        lambda key: F.init_position_bias(key, BIASES["no keys"]), jax.random.key(0)
    )
    assert plain.u is plain.s is plain.segment_keys is None


# What users of other libraries reported.


def test_a_memory_has_the_distances_of_its_places():  # x-transformers#103
    bias, memory = BIASES["conformer"], 4
    whole = matrix(bias, PARAMS, range(LENGTH), range(LENGTH), q=Q, k=K)
    rest = matrix(
        bias, PARAMS, range(memory, LENGTH), range(LENGTH), q=Q[:, memory:], k=K
    )
    assert_close(rest, whole[:, :, memory:], **close(bias, content(bias)))
    # Positions from the first token that is no memory are the same distances.
    from_zero = matrix(
        bias,
        PARAMS,
        range(LENGTH - memory),
        range(-memory, LENGTH - memory),
        q=Q[:, memory:],
        k=K,
    )
    assert_close(from_zero, rest, **close(bias, content(bias)))


@both
def test_keys_after_the_query_have_their_own_distances(known):
    """No shift of a matrix leaves numbers of other rows above the diagonal."""
    # OpenTransformer#25, espnet#2684, transformer-xl#132
    bias = BIASES["no keys"]
    q = np.broadcast_to(Q[:, :1], Q.shape)  # then the bias is one of distances alone
    positions = range(LENGTH) if known else np.arange(LENGTH)
    out = np.asarray(matrix(bias, PARAMS, positions, positions, q=q))
    wanted = expected(bias, PARAMS, range(LENGTH), range(LENGTH), {"q": q})
    tolerance = close(bias, {"q": q})
    for distance in range(1 - LENGTH, LENGTH):
        diagonal = jnp.asarray(np.diagonal(out, distance, 2, 3))
        first = np.diagonal(wanted, distance, 2, 3)[..., :1]
        assert_close(diagonal, first + 0 * np.asarray(diagonal), **tolerance)


def test_fewer_queries_than_keys_drop_the_right_distances():  # labml#185
    bias = BIASES["no keys"]
    for first, q_len, k_len in ((5, 6, LENGTH), (0, LENGTH, 3)):
        positions = range(first, first + q_len), range(k_len)
        out = matrix(bias, PARAMS, *positions, q=Q[:, :q_len])
        wanted = expected(bias, PARAMS, *positions, {"q": Q[:, :q_len]})
        assert_close(out, wanted, **close(bias, {"q": Q}))


@pytest.mark.errors
@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"d_model": 5}, "d_model=5 must be positive and even"),
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"layout": "cos_sin"}, "layout='cos_sin' must be"),
        ({"max_distance": 0}, "max_distance=0 must be an integer in"),
        ({"key_term": 1}, "key_term=1 must be True or False"),
        ({"class_segment": 2}, "class_segment=2 must come with segments=True"),
        ({"factor": float("nan")}, "factor=nan must be"),
    ),
)
def test_settings_out_of_range(settings, message):
    sizes = {"num_heads": 2, "head_dim": 4, "d_model": 6}
    with refused(f"TransformerXLBias: {message}"):
        F.TransformerXLBias(**sizes | settings)


@pytest.mark.errors
@pytest.mark.parametrize("name", PARAMS._fields)
def test_parameters_that_are_missing_or_of_another_shape(name):
    bias = BIASES["xlnet"]
    arguments = (range(LENGTH), range(LENGTH))
    for wrong in (None, np.ones((HEADS, WIDTH + 1), np.float32)):
        params = PARAMS._replace(**{name: wrong})
        with refused(
            rf"apply_position_bias: params.{name}(\.shape=\(3, 5\) must| is a)"
        ):
            F.apply_position_bias(bias, params, *arguments, **content(bias))


@pytest.mark.errors
def test_segments_that_are_missing():
    bias, positions = BIASES["xlnet"], (range(LENGTH), range(LENGTH))
    with refused("q is an ndarray, but must be a tuple of the 2 arrays"):
        F.apply_position_bias(bias, PARAMS, *positions, q=Q, k=(K, SEGMENTS))
    with refused(r"k\[1\].shape=\(2, 10\) must end in \(11,\)"):
        k = K, SEGMENTS[:, 1:]
        F.apply_position_bias(bias, PARAMS, *positions, q=(Q, SEGMENTS), k=k)
    with refused(r"k\[1\].dtype=float32 must be"):
        k = K, SEGMENTS.astype(np.float32)
        F.apply_position_bias(bias, PARAMS, *positions, q=(Q, SEGMENTS), k=k)
