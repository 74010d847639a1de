"""Orders of channels, from that of one rope to that of another."""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, Shaped

from ..._checks import (
    any_array,
    check_flags,
    choice,
    integer,
    positive_integer,
)
from ..._public import public
from .kernel import ORDERS
from .record import Rope, check_rope
from .rotation_checks import rotating_channels


@public
def channel_permutation(
    source: Rope,
    target: Rope,
    head_dim: SupportsIndex,
    *,
    rotated: bool = False,
) -> Int[np.ndarray, " {head_dim}"]:
    """The order of channels in which `target` rotates as `source` does.

    Let `p` be the result, and `q` the result for `rotated=True`. Then
    `rotate(target, x[..., p], m)` is `rotate(source, x, m)[..., q]`. `p` and `q` are
    the same unless a layout returns channels in another order than it takes them. A
    projection whose rows are in the order `p` gives the same scores as before.

    A pair that turns the other way is the same pair with its channels swapped, so a
    rope with frequencies of the opposite sign has a permutation too. Pairs of frequency
    0 stand still, as channels that do not rotate.

    Args:
        source: The rope of the weights at hand.
        target: The rope to run the weights with. It turns as many pairs, with the same
            frequencies, axes and attention factor, in any order.
        head_dim: Number of channels of a head. Channels that do not rotate keep their
            order.
        rotated: True returns the permutation of rotated channels, for cached keys.

    Returns:
        Indices into the channels of one head.

    Raises:
        ValueError: If no permutation exists, or a rope does not fit `head_dim`.

    Example:
        >>> inv_freq = default_inv_freq(4)
        >>> half, interleaved = Rope(inv_freq), Rope(inv_freq, "interleaved")
        >>> channel_permutation(interleaved, half, 4)
        array([0, 2, 1, 3])

    Reference:
        The conversion of Meta's Llama weights in Hugging Face transformers 5.23,
        `convert_llama_weights_to_hf.py`.
    """
    check_flags(rotated=rotated)
    head_dim = positive_integer("head_dim", head_dim)
    for argument, rope in (("source", source), ("target", target)):
        check_rope(argument, rope)
        if not rope._fits(head_dim):
            raise ValueError(
                f"{head_dim=} must hold the {rope.rotary_dim} channels of {rope}."
            )
    if source.attention_factor != target.attention_factor:
        raise ValueError(
            f"no permutation exists: {source} and {target} have different attention "
            "factors."
        )
    have, want = (_places(rope, head_dim) for rope in (source, target))
    for turn, places in want.items():
        if turn and len(places) > len(have.get(turn, ())):
            raise ValueError(
                f"no permutation exists: {target} has more pairs of frequency "
                f"{turn[1]:.6g} on axis {turn[0]} than {source}."
            )
    if len(want[None]) > len(have[None]):
        raise ValueError(
            f"no permutation exists: {source} has more pairs than {target}."
        )
    out = np.empty(head_dim, int)
    for turn, places in want.items():
        for here, there in zip(places, have[turn], strict=True):
            out[here[rotated]] = there[rotated]
    return out


@public
def permute_qk(
    array: Shaped[jax.Array | np.ndarray, "..."],
    *,
    num_heads: SupportsIndex,
    to: str,
    rotary_dim: SupportsIndex | None = None,
    rotary_start: str | SupportsIndex = "leading",
    axis: SupportsIndex = 0,
) -> Shaped[jax.Array | np.ndarray, "..."]:
    """Weights of queries or keys, moved from interleaved to half storage, or back.

    Meta stores Llama interleaved, and Hugging Face stores it in halves. Permute the
    projections of queries and of keys, their biases, and the weights of query and key
    norms. Do not permute values and outputs.

    Args:
        array: A weight, bias or norm. One axis runs over `num_heads * head_dim`
            channels, head by head.
        num_heads: Number of heads on that axis: the key heads for keys, and 1 for a
            norm over `head_dim` or the shared rotary key of latent attention.
        to: The storage of the result: `"half"`, from interleaved storage, or
            `"interleaved"`, from halves.
        rotary_dim: Number of channels of a head that rotate. Positive and even. `None`
            stands for all.
        rotary_start: The place of these channels, as in `Rope`: `"trailing"` for latent
            attention.
        axis: The axis of the channels: 0 for weights as PyTorch stores them, -1 for
            kernels as JAX libraries store them.

    Returns:
        `array` in the other order: a NumPy array for a NumPy array, a JAX array for a
        JAX array.

    Raises:
        ValueError: If `array` is not an array, `to` is unknown, or the sizes do not
            fit.

    Example:
        >>> permute_qk(jnp.arange(8), num_heads=2, to="half").tolist()
        [0, 2, 1, 3, 4, 6, 5, 7]

    Reference:
        The conversion of Meta's Llama weights in Hugging Face transformers 5.23,
        `convert_llama_weights_to_hf.py`.
    """
    choice("to", to, ORDERS)
    any_array("array", array)
    axis = integer("axis", axis)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"{axis=} must be an axis of {array.shape=}.")
    axis %= array.ndim
    num_heads = positive_integer("num_heads", num_heads)
    channels = int(array.shape[axis])
    if channels % num_heads != 0:
        raise ValueError(f"{num_heads=} must divide {array.shape=} on {axis=}.")
    head_dim = channels // num_heads
    if rotary_dim is None:
        if head_dim == 0 or head_dim % 2 != 0:
            raise ValueError(
                f"{array.shape=} must hold {num_heads=} heads of a positive and even "
                f"number of channels on {axis=}; or pass rotary_dim."
            )
        rotary_dim = head_dim
    rotary_dim = rotating_channels(rotary_dim, head_dim)
    pairs = np.arange(1.0, rotary_dim // 2 + 1)  # any that tell pairs apart
    other = "interleaved" if to == "half" else "half"
    source = Rope(pairs, other, rotary_start=rotary_start)
    target = Rope(pairs, to, rotary_start=rotary_start)
    if not source._fits(head_dim):
        raise ValueError(
            f"{rotary_start=} must leave room for {rotary_dim=} in {head_dim=}."
        )
    order = channel_permutation(source, target, head_dim)
    shape = array.shape
    heads = array.reshape(*shape[:axis], num_heads, head_dim, *shape[axis + 1 :])
    take = jnp.take if isinstance(array, jax.Array) else np.take
    return take(heads, order, axis=axis + 1).reshape(shape)


def _places(rope, head_dim):
    """The channels `(read, written)` of each turn, which is `(axis, frequency)`.

    The channels of a pair stand in the order of turning. `None` has those that stand
    still.
    """
    order_in, order_out = (
        _pairs(rope, order, head_dim) for order in (rope._order_in, rope._order_out)
    )
    axes = rope.axis_of_pair or (0,) * rope.rotary_pairs
    turning, still = {}, {channel: channel for channel in range(head_dim)}
    for frequency, axis, read, written in zip(
        rope.inv_freq, axes, order_in, order_out, strict=True
    ):
        pair = list(zip(read, written, strict=True))
        if frequency == 0 and rope.attention_factor == 1:
            still.update(pair)  # a layout may move it all the same
            continue
        for channel in read:
            del still[channel]
        # A pair that stands still has no axis. Turning (a, b) one way is turning (b, a)
        # the other way.
        turn = (axis if frequency else 0, abs(frequency))
        turning.setdefault(turn, []).extend(pair[::-1] if frequency < 0 else pair)
    return {**turning, None: sorted(still.items())}


def _pairs(rope, order, head_dim):
    """The two channels of every pair."""
    index = rope._first_channel(head_dim) + np.arange(rope.rotary_dim)
    if order == "interleaved":
        return index.reshape(-1, 2).tolist()
    blocks = index.reshape(rope.num_blocks, 2, -1)
    return blocks.swapaxes(1, 2).reshape(-1, 2).tolist()
