"""Gates of the Forgetting Transformer, and their sums along a sequence."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from ...._checks import (
    bool_array,
    broadcasts_to,
    check_key,
    check_params,
    check_precision,
    check_table,
    float_array,
    number,
    number_array,
    positive_integer,
)
from ...._dtypes import compute_dtype, default_float_dtype, result_dtype
from ...._public import public
from ..core.parameters import draw_normal
from .exact_sums import MOST_NUMBERS, exact_sums


class ForgetGateParams(NamedTuple):
    """Parameters of the forget gates of a layer.

    Attributes:
        weight: The transpose of `fgate_proj.weight` in the code of the paper.
        bias: Bias of each head.
    """

    weight: Float[Array, "d_model num_heads"]
    bias: Float[Array, " num_heads"]


@public
def init_forget_gate(
    key: PRNGKeyArray,
    d_model: SupportsIndex,
    num_heads: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    bias: SupportsFloat = 0.0,
    dtype: DTypeLike | None = None,
) -> ForgetGateParams:
    """Returns parameters of forget gates, with weights from a normal distribution.

    Args:
        key: A random key of JAX.
        d_model: Width of the hidden states. Positive.
        num_heads: Number of query heads. Positive.
        init_std: Standard deviation of the weights. Not negative.
        bias: Bias of every head. Finite. With 0, as in the paper's code, gates begin at
            0.5; with 5 they begin at 0.993.
        dtype: Dtype of the parameters, default JAX's float; they are drawn in float32
            or wider and rounded once.

    Returns:
        Parameters for `apply_forget_gate`.

    Raises:
        ValueError: If `key` is not one random key, or an argument is out of its range.

    Example:
        >>> init_forget_gate(jax.random.key(0), 64, 4).weight.shape
        (64, 4)

    Reference:
        Lin et al., Forgetting Transformer: Softmax Attention with a Forget Gate, 2025,
        and its code. https://arxiv.org/abs/2503.02130
    """
    check_key(key)
    d_model = positive_integer("d_model", d_model)
    num_heads = positive_integer("num_heads", num_heads)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    init_std, bias = number("init_std", init_std, 0), number("bias", bias)
    return ForgetGateParams(
        weight=draw_normal(key, (d_model, num_heads), init_std, dtype),
        bias=jnp.full(num_heads, bias, dtype),
    )


@public
def apply_forget_gate(
    params: ForgetGateParams,
    x: Float[Array | np.ndarray, "*batch seq_len d_model"],
    mask: Bool[Array | np.ndarray, "*#batch seq_len"]
    | Integer[Array | np.ndarray, "*#batch seq_len"]
    | Sequence
    | None = None,
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "*batch seq_len num_heads"]:
    """Returns the logarithm of the forget gate of each token and head.

    It is `ln sigmoid(x @ weight + bias)`, computed in float32 or wider, which is
    negative or 0. `cumulate_log_gates` adds the logarithms up.

    Args:
        params: Parameters of the gates.
        x: Hidden states from which queries, keys and values are projected too.
        mask: True or 1 for tokens, False or 0 for padding, whose gates are 1 and whose
            logarithms are 0. `None` stands for tokens alone. Batch axes broadcast.
        precision: Precision of the matrix product.

    Returns:
        Logarithms in float32, or in float64 if `x` or a parameter is float64.

    Raises:
        ValueError: If an argument is of another kind, or shapes do not fit together.

    Example:
        >>> params = ForgetGateParams(jnp.zeros((2, 1)), jnp.zeros(1))
        >>> apply_forget_gate(params, jnp.ones((2, 2)), jnp.array([False, True]))
        Array([[ 0.       ],
               [-0.6931472]], dtype=float32)

    Reference:
        Lin et al., Forgetting Transformer: Softmax Attention with a Forget Gate, 2025,
        and its code. https://arxiv.org/abs/2503.02130
    """
    check_params(params, ForgetGateParams)
    check_table("params.weight", params.weight)
    x = float_array("x", x, "seq_len", "d_model")
    bias = float_array("params.bias", params.bias)
    if x.shape[-1:] != params.weight.shape[:1] or bias.shape != params.weight.shape[1:]:
        raise ValueError(
            f"params.weight.shape={params.weight.shape} must be (d_model, num_heads) "
            f"of x.shape={x.shape} and of params.bias.shape={bias.shape}."
        )
    check_precision(precision)
    dtype = compute_dtype(x.dtype, params.weight.dtype, bias.dtype)
    x, weight, bias = (jnp.asarray(t, dtype) for t in (x, params.weight, bias))
    logits = jnp.matmul(x, weight, precision=precision)
    log_gates = jax.nn.log_sigmoid(logits + bias.reshape((1,) * (x.ndim - 1) + (-1,)))
    if mask is None:
        return log_gates
    mask = bool_array("mask", mask)
    if mask.shape[-1:] != x.shape[-2:-1] or not broadcasts_to(mask.shape, x.shape[:-1]):
        raise ValueError(f"{mask.shape=} must broadcast to {x.shape[:-1]} of x.")
    mask = mask.reshape((1,) * (x.ndim - 1 - mask.ndim) + mask.shape)
    return jnp.where(jnp.asarray(mask)[..., None], log_gates, jnp.zeros((), dtype))


@public
def cumulate_log_gates(
    log_gates: Float[Array | np.ndarray, "*batch seq_len num_heads"],
    start: Float[Array | np.ndarray, "*#batch num_heads 2"] | None = None,
) -> Float[Array, "*batch seq_len num_heads 2"]:
    """Returns the sum of the log gates of each token and of all tokens before it.

    A sum is a pair of numbers: the sum in float32, and what is missing from it. The
    difference of two sums, which `ForgettingBias` takes, is therefore as accurate late
    in a sequence as early in it. A single float32 would lose it.

    Gates are rounded to multiples of `2 ** -30` and added up as integers. While sums
    stay above -131072, a pair holds its sum exactly: a step with a cache, a sequence
    behind padding and a document in a pack have the same differences as the sequence
    alone, bit for bit. The gradient is added up in the dtype of `log_gates`.

    Args:
        log_gates: Logarithms of the gates, in the order of the tokens; those below
            -1024 count as -1024. At most `2 ** 20` tokens, and float32 or wider.
        start: The pair of the token before the first one, `sums[..., -1, :, :]` of the
            sequence so far. `None` begins with 0. Batch axes broadcast.

    Returns:
        Pairs of sums. NaN from the first gate on that is NaN.

    Raises:
        ValueError: If an argument is of another kind or too long, or if shapes do not
            fit together.

    Example:
        >>> cumulate_log_gates(jnp.full((3, 1), -0.5))[..., 0]
        Array([[-0.5],
               [-1. ],
               [-1.5]], dtype=float32)

    Reference:
        Lin et al., Forgetting Transformer: Softmax Attention with a Forget Gate, 2025,
        the section on the implementation. https://arxiv.org/abs/2503.02130
    """
    log_gates = float_array("log_gates", log_gates, "seq_len", "num_heads")
    log_gates = jnp.asarray(number_array("log_gates", log_gates))
    *batch, seq_len, num_heads = log_gates.shape
    if seq_len > MOST_NUMBERS:
        raise ValueError(f"{log_gates.shape=} must have at most 2**20 tokens.")
    wanted = (*batch, num_heads, 2)
    if start is None:
        return exact_sums(log_gates, jnp.zeros(wanted, log_gates.dtype))
    start = number_array("start", float_array("start", start, "num_heads", "2"))
    if start.shape[-2:] != wanted[-2:] or not broadcasts_to(start.shape, wanted):
        raise ValueError(
            f"{start.shape=} must broadcast to {wanted}, (*batch, num_heads, 2) of "
            "log_gates."
        )
    start = jnp.broadcast_to(jnp.asarray(start, log_gates.dtype), wanted)
    return exact_sums(log_gates, start)
