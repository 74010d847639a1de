"""Losses without logits: values, gradients, and what is left out of both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from head_oracles import draw_head, head_loss
from helpers import assert_same_bits, jitted, refused, slow

import attnax.functional as F

loss_of = jitted(F.unembedding_cross_entropy)
log_probs_of = jitted(F.unembedding_log_probs)
# Of a 16-bit dtype, one unit in the last place of a number near 1.
EPS = {jnp.float32: 2.0**-23, jnp.bfloat16: 2.0**-7, jnp.float16: 2.0**-10}

EVERY_OPTION = {
    "logit_scale": 0.5,
    "soft_cap": 3.0,
    "label_smoothing": 0.1,
    "z_loss": 1e-2,
}


@jitted
def gradients_of(weight, hidden, bias, targets, cotangent, **options):
    """The loss, and its gradients by the table, hidden states and a bias."""

    def loss(weight, hidden, bias):
        return F.unembedding_cross_entropy(
            weight, hidden, targets, bias=bias, **options
        )

    out, pullback = jax.vjp(loss, weight, hidden, bias)
    return out, pullback(cotangent)


def errors_of(actual, expected):
    return np.abs(np.asarray(actual, np.float64) - expected)


# A vocabulary, the rows of a chunk, and the tokens of a table with more rows.
SIZES = (
    (1, 1, None),
    (53, 7, None),
    (53, 100, 50),
    *slow((53, 1, None), (56, 8, None), (56, 8, 51), (9, 9, 1)),
)


@pytest.mark.device
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("options", (EVERY_OPTION, *slow({}, {"soft_cap": 2.0})))
def test_values_and_gradients(sizes, options):
    vocab_size, chunk_size, valid = sizes
    weight, hidden, targets, bias, cotangent = draw_head(vocab_size, 6, (2, 5))
    targets = targets % (valid or vocab_size)
    options = {**options, "valid_vocab_size": valid}
    loss, _, gradients = head_loss(weight, hidden, targets, bias=bias, **options)
    actual, of_arrays = gradients_of(
        weight,
        hidden,
        bias,
        targets,
        cotangent,
        chunk_size=chunk_size,
        precision="highest",
        **options,
    )
    assert actual.dtype == jnp.float32
    assert errors_of(actual, loss).max() <= 1e-5
    expected = gradients(cotangent)
    # A derivative by a logit is a share, at most 1, and 0.1 at most of z-loss. It has
    # about 20 roundings, those of its logit among them. Cotangents, hidden states and
    # rows are below 4 in size, and ten tokens, or all rows, are added up.
    for wanted, gradient in zip(expected, of_arrays, strict=True):
        assert errors_of(gradient, wanted).max() <= (20 + 10) * 2.0**-24 * 1.1 * 4 * 4
    np.testing.assert_array_equal(of_arrays[0][valid or vocab_size :], 0.0)
    np.testing.assert_array_equal(of_arrays[2][valid or vocab_size :], 0.0)


@pytest.mark.device
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize(
    "sizes",
    ((50_257, 4096), *slow((1000, 2048), (32_000, 32_000), (131_072 + 3, 1000))),
    ids=str,
)
def test_each_loss_is_within_1e_5_for_any_vocabulary(sizes, dtype):
    """Rows of zeros that fill a last chunk would add 0.7 to the loss at 1000."""
    vocab_size, chunk_size = sizes
    weight, hidden, targets, _, _ = draw_head(vocab_size, 64, (7,), dtype)
    loss, normalizer, _ = head_loss(weight, hidden, targets)
    options = {"chunk_size": chunk_size, "return_log_sum_exp": True}
    options["precision"] = "highest"  # on accelerators
    actual, log_sum_exp = loss_of(weight, hidden, targets, **options)
    assert actual.dtype == log_sum_exp.dtype == jnp.float32
    # A logit has 64 products of 3 in all, at most 64 * 2**-24 * 3 off and in practice
    # a few units. The sum of the exponentials is a tree in each chunk.
    assert errors_of(actual, loss).max() <= 1e-5
    assert errors_of(log_sum_exp, normalizer).max() <= 1e-5


def test_equal_logits_add_up_exactly_enough():
    """A float32 sum of one number again and again drifts by 1e-4 in 50,000 steps."""
    weight = np.zeros((50_257, 1), np.float32)
    weight[0] = 0.9
    ones = np.ones((3, 1), np.float32)
    targets = np.array([0, 1, 50_256], np.int32)
    expected, _, _ = head_loss(weight, ones, targets)
    for chunk_size in (50_257, 1024):
        actual = loss_of(weight, ones, targets, chunk_size=chunk_size)
        assert errors_of(actual, expected).max() <= 1e-5


def test_a_loss_is_not_rounded_to_the_size_of_logits():
    """Of logits around 3e4, whose units are 2e-3, only differences are rounded."""
    weight = np.array([[30_000.0], [29_999.0], [29_990.5], [1.0]], np.float32)
    hidden, targets = np.ones((3, 1), np.float32), np.array([0, 1, 2], np.int32)
    loss, _, gradients = head_loss(weight, hidden, targets)
    ones = np.ones(3, np.float32)
    actual, of_arrays = gradients_of(weight, hidden, None, targets, ones, chunk_size=2)
    np.testing.assert_allclose(actual, loss, rtol=4 * 2.0**-23)
    # Each of three shares has a few roundings, and is multiplied by 1.
    expected = gradients(ones)[0]
    np.testing.assert_allclose(of_arrays[0], expected, rtol=0, atol=3 * 4 * 2.0**-23)
    sure = np.array([[40.0], [0.0]], np.float32)
    actual = loss_of(sure, hidden[:1], targets[:1], chunk_size=1)
    assert actual == 0.0  # and never below


@pytest.mark.device
@pytest.mark.parametrize("of_table", (jnp.bfloat16, *slow(jnp.float32, jnp.float16)))
@pytest.mark.parametrize("of_hidden", (jnp.bfloat16, *slow(jnp.float32)))
def test_gradients_in_16_bits_are_rounded_once(of_table, of_hidden):
    """Thirty chunks add up to the gradient of hidden states, 4000 tokens to a row's."""
    weight, hidden, targets, _, _ = draw_head(60, 8, (4000,))
    weight, hidden = weight.astype(of_table), hidden.astype(of_hidden)
    cotangent = np.full(4000, 0.01, np.float32)
    # A float32 table is rounded to the dtype of 16-bit hidden states.
    narrow = of_table == jnp.float32 and of_hidden == jnp.bfloat16
    multiplied = weight.astype(of_hidden) if narrow else weight
    loss, _, gradients = head_loss(multiplied, hidden, targets)
    options = {"chunk_size": 2, "precision": "highest"}
    actual, of_arrays = gradients_of(
        weight, hidden, None, targets, cotangent, **options
    )
    assert errors_of(actual, loss).max() <= 1e-5
    for gradient, expected, dtype in zip(
        of_arrays, gradients(cotangent), (of_table, of_hidden), strict=False
    ):
        assert gradient.dtype == dtype
        # Half a unit of the result, and sums of 4000 terms of at most 0.04 in float32:
        # the share of each has 20 roundings.
        rounding = EPS[dtype] / 2 * np.abs(expected)
        assert (errors_of(gradient, expected) <= rounding + 0.04 * 100 * 2.0**-23).all()


def test_operands_are_those_of_the_unembedding():
    """A float32 table is rounded for 16-bit hidden states unless one says otherwise."""
    weight, hidden, targets, _, _ = draw_head(53, 64, (4,))
    hidden = hidden.astype(jnp.bfloat16)
    actual = loss_of(weight, hidden, targets, chunk_size=16)
    rounded = weight.astype(jnp.bfloat16)
    assert_same_bits(actual, loss_of(rounded, hidden, targets, chunk_size=16))
    wide = {"compute_dtype": jnp.float32, "precision": "highest"}
    actual = loss_of(weight, hidden, targets, chunk_size=16, **wide)
    expected, _, _ = head_loss(weight, hidden, targets)
    assert errors_of(actual, expected).max() <= 1e-5
    expected_of_rounded, _, _ = head_loss(rounded, hidden, targets)
    assert errors_of(actual, expected_of_rounded).max() > 1e-4


def test_float64_stays_float64():
    with jax.enable_x64(True):
        weight, hidden, targets, bias, cotangent = draw_head(53, 6, (5,), np.float64)
        options = {**EVERY_OPTION, "chunk_size": 8}
        loss, _, gradients = head_loss(
            weight, hidden, targets, bias=bias, **EVERY_OPTION
        )
        out, of_arrays = gradients_of(
            weight, hidden, bias, targets, cotangent.astype(np.float64), **options
        )
        assert out.dtype == np.float64
        assert errors_of(out, loss).max() <= 1e-13
        for gradient, expected in zip(of_arrays, gradients(cotangent), strict=True):
            assert errors_of(gradient, expected).max() <= 1e-13


def test_forward_mode_agrees_with_reverse_mode():
    weight, hidden, targets, bias, cotangent = draw_head(53, 6, (5,))
    by = draw_head(53, 6, (5,), seed=1)[:4:1]
    by = by[0], by[1], by[3]
    options = {**EVERY_OPTION, "chunk_size": 10}

    @jax.jit
    def both(arrays, by):
        loss = lambda w, x, b: F.unembedding_cross_entropy(
            w, x, targets, bias=b, **options
        )
        _, moved = jax.jvp(loss, arrays, by)
        _, pullback = jax.vjp(loss, *arrays)
        only_hidden = jax.jvp(lambda x: loss(arrays[0], x, None), arrays[1:2], by[1:2])
        return moved, pullback(cotangent), only_hidden[1]

    moved, gradients, only_hidden = both((weight, hidden, bias), by)
    forward = np.vdot(moved, cotangent)
    backward = sum(np.vdot(g, t) for g, t in zip(gradients, by, strict=True))
    np.testing.assert_allclose(forward, backward, rtol=1e-5)
    _, _, of_hidden = head_loss(weight, hidden, targets, **EVERY_OPTION)
    expected = np.sum(of_hidden(np.ones(5))[1] * by[1], axis=-1)
    assert errors_of(only_hidden, expected).max() <= 1e-5


@pytest.mark.slow
def test_second_derivatives():
    weight, hidden, targets, _, _ = draw_head(13, 4, (3,))

    def loss(x):
        return F.unembedding_cross_entropy(weight, x, targets, chunk_size=5).sum()

    def plain(x):
        logits = x @ weight.T
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).sum()

    hessians = [
        jax.jit(derivative(f))(hidden)
        for f in (loss, plain)
        for derivative in (jax.hessian, lambda g: jax.jacrev(jax.grad(g)))
    ]
    for hessian in hessians[:-1]:
        np.testing.assert_allclose(hessian, hessians[-1], rtol=0, atol=1e-5)


def test_log_probs_are_those_of_the_softmax():
    weight, hidden, targets, bias, _ = draw_head(53, 6, (2, 5))
    options = {"chunk_size": 8, "logit_scale": 0.7, "soft_cap": 4.0, "bias": bias}
    actual = log_probs_of(weight, hidden, targets, **options)
    expected = -loss_of(weight, hidden, targets, **options)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-21)
    every = np.broadcast_to(np.arange(53, dtype=np.int32)[:, None, None], (53, 2, 5))
    repeated = np.broadcast_to(hidden, (53, *hidden.shape))
    shares = np.exp(np.asarray(log_probs_of(weight, repeated, every, **options)))
    np.testing.assert_allclose(shares.sum(0), 1.0, rtol=1e-5)


def test_smoothing_and_z_loss_are_those_of_optax():
    weight, hidden, targets, _, _ = draw_head(53, 6, (5,))

    @jax.jit
    def both():
        logits = jnp.asarray(hidden) @ weight.T
        labels = optax.smooth_labels(
            jax.nn.one_hot(targets, 53, dtype=jnp.float32), 0.2
        )
        plain = optax.softmax_cross_entropy(logits, labels)
        squares = jax.nn.logsumexp(logits, axis=-1) ** 2
        options = {"label_smoothing": 0.2, "z_loss": 0.5, "chunk_size": 9}
        loss = F.unembedding_cross_entropy(weight, hidden, targets, **options)
        return loss, plain + 0.5 * squares

    np.testing.assert_allclose(*both(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("ignored_id, of_ids", ((-100, np.int32), (3, np.uint8)))
def test_ignored_tokens_have_no_part_even_if_they_are_nan(ignored_id, of_ids):
    weight, hidden, targets, _, cotangent = draw_head(53, 6, (5,))
    targets = np.where(targets == 3, 4, targets).astype(of_ids)
    kept = np.array([True, False, True, True, False])
    broken = np.where(kept[:, None], hidden, np.float32(np.nan))
    some = np.where(kept, targets, np.array(ignored_id, of_ids))
    options = {**EVERY_OPTION, "chunk_size": 8, "ignored_id": ignored_id}
    loss, (of_table, of_hidden, _) = gradients_of(
        weight, broken, None, some, cotangent, **options
    )
    # The same shapes, and cotangents of 0 for the others.
    expected, (table, states, _) = gradients_of(
        weight, hidden, None, targets, cotangent * kept, **options
    )
    np.testing.assert_array_equal(loss, np.where(kept, expected, 0.0))
    np.testing.assert_array_equal(of_table, table)
    np.testing.assert_array_equal(of_hidden, states)
    _, log_sum_exp = loss_of(weight, broken, some, return_log_sum_exp=True, **options)
    np.testing.assert_array_equal(np.asarray(log_sum_exp) == 0, ~kept)
    log_probs = log_probs_of(weight, broken, some, chunk_size=8, ignored_id=ignored_id)
    np.testing.assert_array_equal(np.asarray(log_probs) == 0, ~kept)


def test_an_ignored_id_that_the_dtype_lacks_ignores_nothing():
    weight, hidden, targets, _, _ = draw_head(53, 6, (5,))
    options = {"chunk_size": 8, "ignored_id": -100}
    actual = loss_of(weight, hidden, targets.astype(np.uint8), **options)
    assert_same_bits(actual, loss_of(weight, hidden, targets, chunk_size=8))


def test_a_traced_target_out_of_range_has_a_loss_of_nan_and_no_gradient():
    weight, hidden, _, _, _ = draw_head(53, 6, (5,))
    targets = np.array([0, -1, 49, 50, 2**31 - 1], np.int32)
    in_range = np.array([True, False, True, False, False])
    options = {"chunk_size": 8, "valid_vocab_size": 50}
    ones = np.ones(5, np.float32)
    loss, gradients = gradients_of(weight, hidden, None, targets, ones, **options)
    np.testing.assert_array_equal(np.isfinite(loss), in_range)
    safe, of_safe = gradients_of(
        weight, hidden, None, targets * in_range, ones * in_range, **options
    )
    np.testing.assert_array_equal(np.asarray(loss)[in_range], safe[in_range])
    for actual, expected in zip(gradients[:2], of_safe[:2], strict=True):
        np.testing.assert_array_equal(actual, expected)
    log_probs = log_probs_of(weight, hidden, targets, **options)
    np.testing.assert_array_equal(np.isfinite(log_probs), in_range)


def test_a_bias_of_minus_infinity_rules_tokens_out():
    weight, hidden, targets, _, cotangent = draw_head(24, 6, (5,))
    targets, out = targets % 8, np.zeros(24, np.float32)
    out[8:] = -np.inf  # two whole chunks
    loss, gradients = gradients_of(
        weight, hidden, out, targets, cotangent, chunk_size=8
    )
    expected, of_some = gradients_of(
        weight,
        hidden,
        out[:8].repeat(3),
        targets,
        cotangent,
        chunk_size=8,
        valid_vocab_size=8,
    )
    np.testing.assert_allclose(loss, expected, rtol=0, atol=2.0**-21)
    for actual, wanted in zip(gradients, of_some, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2.0**-19)


def under_scan(f):
    return lambda weight, hidden, targets: jax.lax.scan(
        lambda _, xs: (None, f(weight, *xs)), None, (hidden, targets)
    )[1]


def test_batch_is_vmap_scan_and_remat():
    weight, hidden, targets, _, _ = draw_head(53, 6, (3, 5))
    loss = functools.partial(
        F.unembedding_cross_entropy, chunk_size=8, z_loss=1e-2, ignored_id=7
    )
    forms = {
        "vmap": jax.vmap(loss, (None, 0, 0)),
        "scan of remat": under_scan(jax.checkpoint(loss)),
        "tables": lambda w, x, t: jax.vmap(loss)(jnp.stack([w] * 3), x, t),
        "plain": loss,
    }

    @jax.jit
    def every(weight, hidden):
        with_gradients = lambda f: jax.value_and_grad(
            lambda w, x: jnp.sum(jnp.cos(f(w, x, targets))), (0, 1)
        )(weight, hidden)
        return {name: with_gradients(f) for name, f in forms.items()}

    results = every(weight, hidden)
    plain = results.pop("plain")
    for name, result in results.items():
        # Products of other shapes: 15 tokens are added up, each of at most 8.
        close = functools.partial(
            np.testing.assert_allclose, rtol=0, atol=15 * 8 * 2.0**-23, err_msg=name
        )
        jax.tree.map(close, result, plain)


ARGUMENTS = dict(
    zip(("weight", "hidden", "targets"), draw_head(5, 4, (3,)), strict=False)
)
both = pytest.mark.parametrize(
    "function", (F.unembedding_cross_entropy, F.unembedding_log_probs)
)


@pytest.mark.errors
@both
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"chunk_size": 0}, "chunk_size=0 must be a positive integer"),
        ({"valid_vocab_size": 6}, r"valid_vocab_size=6 must be an integer in \[1, 5\]"),
        ({"logit_scale": 0.0}, "logit_scale=0.0 must be finite and positive"),
        ({"soft_cap": -1.0}, "soft_cap=-1.0 must be finite and positive"),
        ({"compute_dtype": jnp.int32}, "compute_dtype=int32 must be a real float"),
        ({"vocab_axis": "model"}, "vocab_axis='model' must name an axis of a mesh"),
        ({"targets": np.array([0, 5, 1])}, r"targets\[1\]=5 must lie in \[0, 5\)"),
        ({"targets": np.array([0, -100, 1])}, r"targets\[1\]=-100 must lie in"),
        (
            {"targets": np.array([0, 4, 1]), "valid_vocab_size": 4},
            r"targets\[1\]=4 must lie in \[0, 4\)",
        ),
    ),
    ids=str,
)
def test_what_is_refused(function, changed, message):
    with pytest.raises(ValueError, match=f"{function.__name__}: {message}"):
        function(**{**ARGUMENTS, "chunk_size": 2, **changed})


@pytest.mark.errors
@both
def test_shapes_that_do_not_fit(function):
    call = functools.partial(function, **ARGUMENTS, chunk_size=2)
    with refused(r"hidden.shape=\(3, 3\) must end in the width of weight.shape="):
        call(hidden=np.ones((3, 3), np.float32))
    with refused(r"targets.shape=\(2,\) must be \(3,\), the shape of hidden without"):
        call(targets=np.array([0, 1]))
    with refused(r"targets.dtype=float32 must be integer"):
        call(targets=np.ones(3, np.float32))
    with refused(r"bias.shape=\(4,\) must be \(5,\), one number for each row"):
        call(bias=np.ones(4, np.float32))
    with refused("weight.dtype=int32 must be a real float"):
        call(weight=np.ones((5, 4), np.int32))


@pytest.mark.errors
def test_shares_and_weights_have_bounds():
    call = functools.partial(F.unembedding_cross_entropy, **ARGUMENTS, chunk_size=2)
    for smoothing in (-0.1, 1.5):
        with pytest.raises(ValueError, match=f"label_smoothing={smoothing} must be a"):
            call(label_smoothing=smoothing)
    with pytest.raises(ValueError, match="z_loss=-1 must be a finite number of at l"):
        call(z_loss=-1)
    with refused("ignored_id=1.5 must be an integer"):
        call(ignored_id=1.5)
    with refused("return_log_sum_exp=1 must be True or False"):
        call(return_log_sum_exp=1)


@pytest.mark.errors
def test_known_targets_may_be_ignored():
    weight, hidden, _ = ARGUMENTS.values()
    call = functools.partial(
        F.unembedding_cross_entropy, weight, hidden, chunk_size=2, ignored_id=-100
    )
    jax.eval_shape(lambda: call([0, -100, 4]))
    with pytest.raises(ValueError, match=r"targets\[0\]=-1 must lie in \[0, 5\)"):
        call([-1, -100, 4])
