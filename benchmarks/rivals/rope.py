"""Rotary embeddings of other libraries, as their users call them."""

from importlib import import_module

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from ..timing import pytorch


def equinox_rotation(head_dim, heads_first=False):
    """Returns the rotation of `equinox.nn` at positions 0, 1, ..., its only ones.

    Its cos and sin are float32. Nested `vmap` maps it over heads and batch, as in its
    documentation.
    """
    rope = eqx.nn.RotaryPositionalEmbedding(head_dim)
    heads = 0 if heads_first else 1
    rotate = jax.vmap(jax.vmap(rope, heads, heads))
    return lambda x, *where: rotate(x)


def transformers_rotation(case, xs, cos, sin):
    """Returns the function of `case.transformers` and its arguments, `xs[0]` first.

    Models call it with queries and keys. If there are no keys, they have no head here,
    or one for Llama 4, which takes no fewer.
    """
    module, name = case.transformers.split(".")
    module = import_module(f"transformers.models.{module}.modeling_{module}")
    theirs, options, num_keys = getattr(module, name), {}, 0
    cos, sin = (_of_channels(t, case.layout) for t in (cos, sin))
    if name == "apply_rotary_pos_emb":  # models round cos and sin to the dtype of x
        options["unsqueeze_dim"] = 1 if case.heads_first else 2
        tables = (cos.astype(xs[0].dtype), sin.astype(xs[0].dtype))
    elif name == "apply_rotary_pos_emb_vision":
        tables = (cos, sin)
    else:
        tables, num_keys = (lax.complex(cos[..., ::2], sin[..., ::2]),), 1
    axis = 1 if case.heads_first else 2
    keys = (*xs, lax.slice_in_dim(xs[0], 0, num_keys, axis=axis))[1]

    def function(*args):
        q, k = theirs(*args, **options)
        return (q, k) if case.num_kv_heads else q

    return function, (xs[0], keys, *tables)


def torch_concatenation(layout):
    """The rotation of PyTorch tensors as nearly everyone writes it.

    Cos and sin have the dtype of `x` and an axis for the heads.
    """
    import torch

    def function(x, cos, sin):
        if layout == "half":
            a, b = x.chunk(2, dim=-1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)

    return function


def torch_of_a_product(positions, inv_freq):
    """Cos and sin of a float32 product, of PyTorch tensors."""
    angle = positions.float()[..., None] * inv_freq
    return angle.cos(), angle.sin()


def transformers_cos_sin(head_dim):
    """Returns Llama's function of a tensor and positions `(1, seq_len)`.

    It makes cos and sin for both channels of each pair, in the dtype of the tensor.
    """
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    rope_parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    config = LlamaConfig(head_dim=head_dim, rope_parameters=rope_parameters)
    return LlamaRotaryEmbedding(config).to(pytorch.device())


def torch_values(function, args):
    """Cos and sin `(seq_len, pairs)` that a function of PyTorch makes, as NumPy."""
    made = (t[0].cpu().numpy() for t in function(*map(pytorch.tensor, args)))
    return [t[:, : t.shape[1] // 2] for t in made]


def _of_channels(table, layout):
    """Returns a table in which both channels of a pair have its angle."""
    if layout == "half":
        return jnp.concatenate([table, table], axis=-1)
    return jnp.repeat(table, 2, axis=-1)
