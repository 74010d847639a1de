"""Lookups and logits of small tables of tokens, as tests draw them."""

import jax
import jax.numpy as jnp
import numpy as np
import strategies as ax
from helpers import jitted
from hypothesis import strategies as st

import attnax.functional as F

# Rows and columns of a table, the dtype of ids and their shape.
LOOKUPS = (
    (1, 1, np.uint8, (7,)),
    (11, 6, np.int16, ()),
    (11, 6, np.int32, (2, 1, 3)),
    (300, 3, np.uint16, (2, 1, 3)),
    (300, 3, np.int32, (7,)),
)
unembed = jitted(F.apply_token_unembedding)


def draw_lookup(data, dtype=jnp.float32, shape=None):
    vocab_size, d_model, of_ids, own_shape = data.draw(st.sampled_from(LOOKUPS))
    weight = data.draw(ax.floats((vocab_size, d_model), dtype))
    shape = own_shape if shape is None else shape
    ids = data.draw(ax.integers(shape, 0, vocab_size - 1)).astype(of_ids)
    return F.TokenEmbeddingParams(weight=weight), ids


@jitted
def mapped(function, params, arrays, **options):
    return jax.vmap(lambda array: function(params, array, **options))(arrays)
