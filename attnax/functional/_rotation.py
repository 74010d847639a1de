"""Rotating by a `Rope`: cos and sin, their application, and both in one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Real

from ._rope import Rope, StackedRopes
from ._rope_cos_sin import check_coordinates, cos_sin_of_words, make_cos_sin
from ._rope_kernel import rotate_pairs
from ._rope_rotate import check_broadcast, check_rotation

_HEADS = ("after", "before", None)


def rotation(
    rope: Rope | StackedRopes,
    positions: Real[Array | np.ndarray, "*positions"],
    *,
    numerics: str = "exact",
) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
    """Cos and sin of `positions`, times the attention factor: once for all layers.

    Args:
        rope: A record, or one element of `stack_ropes`.
        positions: `(*batch, seq_len)`; for a rope with `axis_of_pair`, with a last axis
            of `num_axes` coordinates, on text too (the same number on each).
        numerics: `"exact"` for integer positions. `"float32"` for fractional ones: see
            `rope_cos_sin`.

    Returns:
        `(cos, sin)` in float32, each `(*batch, seq_len, rotary_pairs)`.

    Raises:
        ValueError: If `positions` have another number of coordinates, or as
            `rope_cos_sin` does.

    Example:
        >>> cos, sin = rotation(Rope(default_inv_freq(8)), jnp.arange(5))
        >>> cos.shape
        (5, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    fractional = "pass numerics='float32' for fractional positions"
    return _cos_sin("rotation", rope, positions, fractional, numerics=numerics)


def apply_rotation(
    rope: Rope | StackedRopes,
    x: Float[Array, "*batch head_dim"],
    cos: Float[Array, "*positions rotary_pairs"],
    sin: Float[Array, "*positions rotary_pairs"],
    *,
    inverse: bool = False,
    heads: str | None = "after",
) -> Float[Array, "*batch head_dim"]:
    """Rotates `x` by the cos and sin of `rotation`.

    Args:
        rope: The record that `cos` and `sin` were made of.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `heads`.
        cos: From `rotation`, `(*batch, seq_len, rotary_pairs)`; batch axes broadcast
            against those of `x` and never enlarge it.
        sin: Like `cos`.
        inverse: Undo the rotation, to within `4 * 2**-23` of the length of each pair:
            turn back, and divide by the attention factor. `x` is then in the order that
            rotating puts out.
        heads: Where the head axis of `x` stands: `"after"` the sequence, `"before"` it
            (`(*batch, num_heads, seq_len, head_dim)`), or `None`: nowhere.

    Returns:
        The shape and dtype of `x`, rounded once. Channels that do not rotate pass bit
        for bit.

    Raises:
        ValueError: If `heads` is unknown, the shapes do not fit each other and the
            rope, a dtype is not a real float, or `head_dim` is sharded.

    Example:
        >>> rope = Rope(default_inv_freq(8))
        >>> cos, sin = rotation(rope, jnp.arange(5))
        >>> apply_rotation(rope, jnp.ones((2, 5, 3, 8)), cos, sin).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    name = "apply_rotation"
    settings = _settings(name, rope)
    reads, writes = settings.reads, settings.writes
    if inverse:
        reads, writes = writes, reads
        # They hold the attention factor once, and turning back divides by it.
        scale = _inverse_square(rope.attention_factor)
        cos, sin = cos * scale, sin * scale
    return _apply(name, rope, x, cos, sin, heads, reads, writes, back=inverse)


def rotate(
    rope: Rope | StackedRopes,
    x: Float[Array, "*batch head_dim"],
    positions: Integer[Array | np.ndarray, "*positions"],
    *,
    inverse: bool = False,
    heads: str | None = "after",
) -> Float[Array, "*batch head_dim"]:
    """Rotates `x` by `positions`: `rotation`, then `apply_rotation`.

    Several layers in one program share cos and sin if `rotation` is called once, above
    them.

    Args:
        rope: A record, or one element of `stack_ropes`.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `heads`.
        positions: `(*batch, seq_len)`, with a last axis of coordinates for a rope with
            `axis_of_pair`; batch axes broadcast against those of `x`.
        inverse: Undo the rotation, see `apply_rotation`.
        heads: Where the head axis of `x` stands, see `apply_rotation`.

    Returns:
        The shape and dtype of `x`. Traced positions outside int32 give NaN.

    Raises:
        ValueError: As `rotation` and `apply_rotation` do.

    Example:
        >>> rope = Rope(default_inv_freq(8), "interleaved")
        >>> rotate(rope, jnp.ones((2, 5, 3, 8)), jnp.arange(5)).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    fractional = (
        "for fractional positions use rotation with numerics='float32' and "
        "apply_rotation"
    )
    cos, sin = _cos_sin("rotate", rope, positions, fractional)
    return apply_rotation(rope, x, cos, sin, inverse=inverse, heads=heads)


def rerotate(
    rope: Rope | StackedRopes,
    keys: Float[Array, "*batch head_dim"],
    delta: Integer[Array | np.ndarray, "*positions"] | int,
    *,
    heads: str | None = "after",
) -> Float[Array, "*batch head_dim"]:
    """Turns keys that are rotated already by a difference of positions.

    What a cache needs when tokens before the keys are evicted or come in:
    `rerotate(rope, rotate(rope, k, m), d)` is `rotate(rope, k, m + d)`.

    Args:
        rope: The record by which the keys were rotated.
        keys: As `rotate` put them out, in that order and with the attention factor they
            have.
        delta: Position difference, shaped as `positions` are for `rotate`, or what
            broadcasts to that, a single number included; for a rope of several axes,
            one coordinate on the last axis is for all of them. It may be negative.
        heads: Where the head axis of `keys` stands, see `apply_rotation`.

    Returns:
        The shape and dtype of `keys`.

    Raises:
        ValueError: As `rotation` and `apply_rotation` do.

    Example:
        >>> rope = Rope(default_inv_freq(8))
        >>> rerotate(rope, jnp.ones((2, 5, 3, 8)), -4).shape
        (2, 5, 3, 8)

    Reference:
        Xiao et al., Efficient Streaming Language Models with Attention Sinks, 2023,
        section 3.2: positions within the cache. https://arxiv.org/abs/2309.17453
    """
    settings = _settings("rerotate", rope)
    if not isinstance(delta, jax.Array):
        delta = np.asarray(delta)
    axes = settings.num_axes if settings.axis_of_pair is not None else 0
    if axes and delta.shape[-1:] in ((), (1,)):
        delta = jnp.broadcast_to(delta, (*delta.shape[:-1], axes))
    fractional = "positions differ by integers"
    cos, sin = _cos_sin(
        "rerotate", _without_factor(rope), delta, fractional, argument="delta"
    )
    if cos.ndim == 1:  # one difference for every position
        cos, sin = cos[None], sin[None]
    order = settings.writes
    return _apply("rerotate", rope, keys, cos, sin, heads, order, order, spread=True)


def _cos_sin(
    function, rope, positions, fractional, *, numerics="exact", argument="positions"
):
    """Cos and sin of a record or of an element of a stack."""
    settings = _settings(function, rope)
    axes = settings.axis_of_pair
    if isinstance(rope, Rope):
        return make_cos_sin(
            function,
            positions,
            np.array(rope.inv_freq),
            axis_of_pair=axes,
            num_axes=settings.num_axes,
            attention_factor=rope.attention_factor,
            numerics=numerics,
            argument=argument,
            fractional=fractional,
        )
    if numerics != "exact":
        raise ValueError(f"{function}: {numerics=} must be 'exact' for stacked ropes.")
    if axes is not None:
        check_coordinates(function, argument, positions.shape, settings.num_axes)
    cos, sin = cos_sin_of_words(
        function, positions, rope.words, axes, argument=argument
    )
    return cos * rope.attention_factor, sin * rope.attention_factor


def _settings(function, rope):
    if isinstance(rope, Rope):
        return rope
    if not isinstance(rope, StackedRopes):
        raise ValueError(
            f"{function}: rope is a {type(rope).__name__}, but must be a Rope, or an "
            "element of stack_ropes."
        )
    if rope.words.ndim != 2:
        raise ValueError(
            f"{function}: {rope.words.shape=} must be that of one rope, (2, pairs); "
            "scan over the stack, or select with jax.tree.map(lambda t: t[i], stack)."
        )
    return rope.settings


def _apply(
    function, rope, x, cos, sin, heads, reads, writes, *, back=False, spread=False
):
    """Inserts the head axis, finds the channels and rotates them."""
    settings = _settings(function, rope)
    check_rotation(function, x, cos, sin)
    _check_shapes(function, settings, x, cos, heads, spread)
    if heads is not None:
        axis = -2 if heads == "after" else -3
        cos, sin = (jnp.expand_dims(t, axis) for t in (cos, sin))
    ones = (1,) * (x.ndim - cos.ndim)
    cos, sin = (jnp.reshape(t, (*ones, *t.shape)) for t in (cos, sin))
    start = settings.start(x.shape[-1])
    if settings.num_blocks > 1:
        return _rotate_blocks(x, cos, sin, settings, start, back)
    return rotate_pairs(x, cos, sin, reads=reads, writes=writes, start=start, back=back)


def _rotate_blocks(x, cos, sin, settings, start, back):
    """Halves within each block, which becomes an axis of its own."""
    stop, blocks = start + settings.rotary_dim, settings.num_blocks
    split = lambda t: t.reshape(*t.shape[:-1], blocks, -1)
    rotated = rotate_pairs(
        *(split(t) for t in (x[..., start:stop], cos, sin)),
        reads="half",
        writes="half",
        start=0,
        back=back,
    )
    rotated = rotated.reshape(*x.shape[:-1], -1)
    if rotated.shape == x.shape:
        return rotated
    return jnp.concatenate([x[..., :start], rotated, x[..., stop:]], axis=-1)


def _check_shapes(function, settings, x, cos, heads, spread):
    if heads not in _HEADS:
        raise ValueError(f"{function}: {heads=} must be one of {_HEADS}.")
    if cos.shape[-1] != settings.rotary_pairs:
        raise ValueError(
            f"{function}: {cos.shape=} must end in the {settings.rotary_pairs} pairs "
            "of the rope; make it with rotation."
        )
    start = settings.start(x.shape[-1])
    if start < 0 or start + settings.rotary_dim > x.shape[-1]:
        raise ValueError(
            f"{function}: {x.shape=} must end in a head that holds the "
            f"{settings.rotary_dim} channels that rotate, with "
            f"rotary_slice={settings.rotary_slice!r}."
        )
    axes = {"after": -3, "before": -2, None: -2}
    if x.ndim < (3 if heads else 2) or cos.ndim < 2:
        raise ValueError(
            f"{function}: {x.shape=} and {cos.shape=} must have a sequence axis, and x "
            f"a head axis unless heads=None, for {heads=}."
        )
    seq_len = x.shape[axes[heads]]
    if cos.shape[-2] != seq_len and not (spread and cos.shape[-2] == 1):
        raise ValueError(
            f"{function}: {cos.shape=} holds {cos.shape[-2]} positions, but {x.shape=} "
            f"has a sequence of {seq_len} for {heads=}."
        )
    batch = x.shape[: -3 if heads else -2]
    check_broadcast(
        f"{function}: {cos.shape=} must broadcast to the batch axes {batch} of "
        f"{x.shape=} for {heads=}.",
        cos.shape[:-2],
        batch,
    )


def _inverse_square(factor):
    if isinstance(factor, float):  # static: rounded once
        return np.float32(factor**-2)
    return 1.0 / factor**2


def _without_factor(rope):
    if isinstance(rope, Rope):
        return dataclasses.replace(rope, attention_factor=1.0)
    return rope._replace(attention_factor=jnp.ones_like(rope.attention_factor))
