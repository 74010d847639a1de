"""Losses of a head in float64, from the formulas of the papers, and small heads."""

import numpy as np


def head_logits(weight, hidden, bias=None, logit_scale=None, soft_cap=None):
    """Logits in float64, and the derivative of each by its product."""
    wide = [np.asarray(x, np.float64) for x in (hidden, weight)]
    logits = np.einsum("...d,vd->...v", *wide)
    if bias is not None:
        logits = logits + np.asarray(bias, np.float64)
    slope = 1.0 if logit_scale is None else logit_scale
    logits, slope = logits * slope, np.full_like(logits, slope)
    if soft_cap is not None:
        bounded = np.tanh(logits / soft_cap)
        logits, slope = soft_cap * bounded, slope * (1 - bounded**2)
    return logits, slope


def head_loss(
    weight,
    hidden,
    targets,
    *,
    label_smoothing=0.0,
    z_loss=0.0,
    valid_vocab_size=None,
    bias=None,
    **of_logits,
):
    """The loss of each token, and its gradients by weight, hidden states and bias.

    The loss is the cross-entropy of two distributions: the smoothed target (Szegedy et
    al. 2015, section 7) and the softmax.
    """
    rows = slice(valid_vocab_size)
    table = np.asarray(weight, np.float64)[rows]
    bias_of = None if bias is None else np.asarray(bias)[rows]
    logits, slope = head_logits(table, hidden, bias_of, **of_logits)
    normalizer = np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    smoothed = np.full(logits.shape, label_smoothing / len(table))
    at = np.asarray(targets)[..., None].astype(np.int64)
    np.put_along_axis(smoothed, at, smoothed[..., :1] + 1 - label_smoothing, -1)
    loss = np.sum(smoothed * (normalizer - logits), axis=-1)
    loss += z_loss * normalizer[..., 0] ** 2

    by_logits = np.exp(logits - normalizer) * (1 + 2 * z_loss * normalizer) - smoothed
    by_product = by_logits * slope

    def gradients(cotangent):
        g = by_product * np.asarray(cotangent, np.float64)[..., None]
        of_tokens = g.reshape(-1, len(table))
        of_table = np.zeros(np.shape(weight))
        wide = np.asarray(hidden, np.float64).reshape(-1, table.shape[1])
        of_table[rows] = of_tokens.T @ wide
        of_bias = np.zeros(len(of_table))
        of_bias[rows] = of_tokens.sum(0)
        # A bias is inside the scale and the cap, as a product is.
        return of_table, g @ table, of_bias

    return loss, normalizer[..., 0], gradients


def draw_head(vocab_size, d_model, batch, dtype=np.float32, seed=0):
    """A table, hidden states, targets, a bias and a cotangent, made by NumPy.

    Products of a logit have magnitudes that add up to about 3.
    """
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(vocab_size, d_model)) * 4 / d_model
    hidden = rng.normal(size=(*batch, d_model))
    targets = rng.integers(0, vocab_size, batch).astype(np.int32)
    bias = rng.normal(size=vocab_size)
    cotangent = rng.normal(size=batch).astype(np.float32)
    weight, hidden, bias = (x.astype(dtype) for x in (weight, hidden, bias))
    return weight, hidden, targets, bias, cotangent
