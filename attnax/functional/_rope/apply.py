"""The rotation of pairs of features by cos and sin that are at hand."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._dtypes import float_dtype
from ..._public import public
from .kernel import rotate_pairs


@public
def apply_rope(
    x: Float[Array, "*batch head_dim"],
    cos: Float[Array, "*#batch_of_cos rotary_pairs"],
    sin: Float[Array, "*#batch_of_cos rotary_pairs"],
    *,
    layout: str = "half",
) -> Float[Array, "*batch head_dim"]:
    """Rotates pairs of features: `(a cos - b sin, a sin + b cos)`.

    The axes of `cos` and `sin` line up with the last ones of `x`, as NumPy broadcasts:
    which one is the sequence is not known here. Straight from `rope_cos_sin`, without a
    head axis, they line up with the heads of `(..., seq_len, num_heads, head_dim)`;
    that is an error unless there are as many heads as tokens, and then the wrong
    result. It is not refused, for the same shapes are right where heads stand before
    the sequence. `rotate` and `apply_rotary` know the sequence, and insert the head
    axis themselves.

    Args:
        x: Queries or keys. The last axis holds `head_dim` features.
        cos: Cosines, `rotary_pairs` on the last axis; the axes before it broadcast
            against those of `x` by NumPy's rules but never enlarge it. Insert the head
            axis yourself: `cos[..., None, :]` for `(..., seq_len, num_heads, head_dim)`
            and `cos[..., None, :, :]` for `(..., num_heads, seq_len, head_dim)`.
        sin: Sines, the shape of `cos`.
        layout: Which features form pair `i`: `i` and `i + rotary_pairs` (`"half"`:
            GPT-NeoX, Llama as Hugging Face stores it), or `2 i` and `2 i + 1`
            (`"interleaved"`: GPT-J, Llama as Meta stores it).

    Returns:
        The shape and dtype of `x`. Arithmetic is in float32 (float64 for float64 `x`)
        and rounded once. Features past `2 * rotary_pairs` are those of `x`, bit for
        bit.

    Raises:
        ValueError: If `layout` is unknown, a dtype is not a real float, `cos` and `sin`
            differ in shape, are empty, do not broadcast or are wider than half of `x`,
            or `head_dim` is sharded.

    Example:
        >>> cos, sin = rope_cos_sin_table(3, 4)
        >>> apply_rope(jnp.ones((3, 2, 4)), cos[:, None, :], sin[:, None, :]).shape
        (3, 2, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    if layout not in ("half", "interleaved"):
        raise ValueError(f"{layout=} must be 'half' or 'interleaved'.")
    check_rotation(x, cos, sin)
    if 2 * cos.shape[-1] > x.shape[-1]:
        raise ValueError(
            f"{cos.shape=} must hold at most half the features of "
            f"{x.shape=}; if it holds every angle twice, pass cos[..., :head_dim // 2]."
        )
    check_broadcast(
        f"{cos.shape=} must broadcast to {x.shape=}, last axes aside; "
        "insert the head axis with cos[..., None, :], or use apply_rotary, which "
        "does.",
        cos.shape[:-1],
        x.shape[:-1],
    )
    ones = (1,) * (x.ndim - cos.ndim)
    cos, sin = (jnp.reshape(t, (*ones, *t.shape)) for t in (cos, sin))
    return rotate_pairs(x, cos, sin, order_in=layout, order_out=layout, first_channel=0)


def check_rotation(x, cos, sin):
    """The rules of every rotation by cos and sin that are at hand."""
    for name, array in (("x", x), ("cos", cos), ("sin", sin)):
        float_dtype(f"{name}.dtype", array.dtype)
    if cos.shape != sin.shape:
        raise ValueError(f"{cos.shape=} must equal {sin.shape=}.")
    if x.ndim == 0 or cos.ndim == 0 or cos.shape[-1] == 0:
        raise ValueError(f"{x.shape=}, {cos.shape=} must have features.")
    check_features(x)


def check_features(x, name="x"):
    """The features of a head are not sharded."""
    spec = jax.typeof(x).sharding.spec
    if spec[-1] is not None:
        raise ValueError(
            f"the features of {name} have {spec=}, but must not be "
            "sharded; shard the heads, or gather them with jax.reshard."
        )


def check_broadcast(message, shape, wanted):
    """`shape` broadcasts to `wanted` and never enlarges it."""
    axes = zip(reversed(shape), reversed(wanted), strict=False)
    if len(shape) > len(wanted) or any(s not in (1, w) for s, w in axes):
        raise ValueError(message)
