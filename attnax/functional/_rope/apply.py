"""The rotation of pairs of features by arrays of cos and sin."""

import numpy as np
from jaxtyping import Array, Float

from ..._checks import broadcasts_to, choice, float_array
from ..._public import public
from .kernel import ORDERS, rotate_pairs
from .rotation_checks import check_cos_sin, check_features
from .turn import of_rank


@public
def apply_rope(
    x: Float[Array | np.ndarray, "*batch head_dim"],
    cos: Float[Array | np.ndarray, "*#batch_of_cos rotary_pairs"],
    sin: Float[Array | np.ndarray, "*#batch_of_cos rotary_pairs"],
    *,
    layout: str = "half",
) -> Float[Array, "*batch head_dim"]:
    """Takes arrays only: rotates pairs, `(a cos - b sin, a sin + b cos)`.

    The axes of `cos` and `sin` line up with the last axes of `x`, as NumPy broadcasts.
    `apply_rope` cannot know which axis of `x` is the sequence. The result of
    `rope_cos_sin` has no head axis, so it lines up with the heads of
    `(..., seq_len, num_heads, head_dim)`. That is an error, unless there are as many
    heads as tokens; then the result is wrong. `apply_rope` cannot refuse these shapes:
    they are right where heads stand before the sequence. `rotate` and `apply_rotary`,
    which take a `Rope`, know the sequence and insert the head axis themselves.

    Args:
        x: Queries or keys. The last axis holds `head_dim` features.
        cos: Cosines, with `rotary_pairs` on the last axis. The axes before it broadcast
            against those of `x` by NumPy's rules but never enlarge it. Insert the head
            axis yourself: `cos[..., None, :]` for `(..., seq_len, num_heads, head_dim)`
            and `cos[..., None, :, :]` for `(..., num_heads, seq_len, head_dim)`.
        sin: Sines, in the shape of `cos`.
        layout: The two features of pair `i`: `i` and `i + rotary_pairs` for `"half"`
            (GPT-NeoX, Llama as Hugging Face stores it), `2 i` and `2 i + 1` for
            `"interleaved"` (GPT-J, Llama as Meta stores it).

    Returns:
        The rotated `x`, in its shape and dtype. Arithmetic is in float32 (float64 for
        float64 `x`) and rounded once. Features past `2 * rotary_pairs` keep their bits.

    Raises:
        ValueError: If `layout` is unknown; if a dtype is not a real float; if `cos` and
            `sin` differ in shape, are empty, do not broadcast or are wider than half of
            `x`; or if `head_dim` is sharded.

    Example:
        >>> cos, sin = rope_cos_sin_table(3, 4)
        >>> apply_rope(jnp.ones((3, 2, 4)), cos[:, None, :], sin[:, None, :]).shape
        (3, 2, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    choice("layout", layout, ORDERS)
    float_array("x", x, "head_dim")
    check_cos_sin(cos, sin)
    check_features("x", x)
    if 2 * cos.shape[-1] > x.shape[-1]:
        raise ValueError(
            f"{cos.shape=} must hold at most half the features of "
            f"{x.shape=}; if it holds every angle twice, pass cos[..., :head_dim // 2]."
        )
    if not broadcasts_to(cos.shape[:-1], x.shape[:-1]):
        raise ValueError(
            f"{cos.shape=} must broadcast to {x.shape=}, last axes aside; "
            "insert the head axis with cos[..., None, :], or use apply_rotary, which "
            "does."
        )
    cos, sin = of_rank(x.ndim, cos, sin)
    return rotate_pairs(x, cos, sin, order_in=layout, order_out=layout, first_channel=0)
