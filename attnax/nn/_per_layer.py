"""Per-layer embeddings as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._checks import plain_number
from .._dtypes import float_dtype
from .._public import public
from ._made import check_call


class PerLayerEmbedding(eqx.Module):
    """Makes a vector for each token and layer, of its id and of its embedding.

    It does what `attnax.functional.apply_per_layer_embedding` does.

    Args:
        vocab_size: Number of tokens of the table. Positive.
        d_model: Width of the embedded tokens. Positive.
        num_layers: Number of layers. Positive.
        d_layer: Width of the vector of a layer. Positive.
        init_std: Standard deviation of the normal distribution. Not negative.
        dtype: Dtype of the parameters. `None` is JAX's default float.
        outside_id: Token whose row stands for all ids outside the table. Gemma 3n takes
            0. `None` is no such token.
        eps: Number added to the mean square of the norm. Not negative.
        scale_dtype: Dtype to which the factors are rounded. `None` is that of the
            arithmetic.
        round_steps: Whether each step is rounded to the dtype of the embedded tokens.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, or another argument breaks its
            rule.

    Example:
        >>> embedding = PerLayerEmbedding(10, 8, 3, 4, key=jax.random.key(0))
        >>> embedding(jnp.ones((2, 5), int), jnp.ones((2, 5, 8))).shape
        (2, 5, 3, 4)

    Reference:
        Gemma 3n in transformers 5, `modeling_gemma3n.py`.
        https://github.com/huggingface/transformers
    """

    params: F.PerLayerEmbeddingParams
    outside_id: int | None = eqx.field(static=True)
    eps: float | int = eqx.field(static=True)
    scale_dtype: np.dtype | None = eqx.field(static=True)
    round_steps: bool = eqx.field(static=True)

    @public
    def __init__(
        self,
        vocab_size: SupportsIndex,
        d_model: SupportsIndex,
        num_layers: SupportsIndex,
        d_layer: SupportsIndex,
        *,
        key: PRNGKeyArray,
        init_std: SupportsFloat = 0.02,
        dtype: DTypeLike | None = None,
        outside_id: SupportsIndex | None = None,
        eps: SupportsFloat = 1e-6,
        scale_dtype: DTypeLike | None = None,
        round_steps: bool = False,
    ):
        self.params = F.init_per_layer_embedding(
            key,
            vocab_size,
            d_model,
            num_layers,
            d_layer,
            init_std=init_std,
            dtype=dtype,
        )
        self.outside_id = plain_number(outside_id)
        self.eps = plain_number(eps)
        self.scale_dtype = None
        if scale_dtype is not None:
            self.scale_dtype = float_dtype("scale_dtype", scale_dtype)
        self.round_steps = round_steps

    @public
    def __check_init__(self):
        d_model = self.params.projection.shape[0]
        x = jax.ShapeDtypeStruct((1, d_model), self.params.projection.dtype)
        ids = jax.ShapeDtypeStruct((1,), np.int32)
        check_call(PerLayerEmbedding, self, ids, x)

    @public
    @jax.named_scope("attnax.nn.PerLayerEmbedding")
    def __call__(
        self,
        token_ids: Integer[Array | np.ndarray, "*batch"]
        | Sequence
        | SupportsIndex
        | None,
        x: Float[Array | np.ndarray, "*batch d_model"],
        *,
        dtype: DTypeLike | None = None,
        precision: jax.lax.PrecisionLike = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch num_layers d_layer"]:
        """Returns vectors of each layer for ids and embedded tokens `x`.

        Without ids, they are of the embedded tokens alone. The result has `dtype`, by
        default that of `x`.
        """
        return F.apply_per_layer_embedding(
            self.params,
            token_ids,
            x,
            dtype=dtype,
            outside_id=self.outside_id,
            eps=self.eps,
            scale_dtype=self.scale_dtype,
            round_steps=self.round_steps,
            precision=precision,
        )
