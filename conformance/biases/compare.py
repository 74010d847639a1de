"""What attnax makes of the config and the tensors of a record."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.interop import position_bias_from_hf, position_bias_params_from_checkpoint
from attnax.functional._biases.core.content import Boxes, Numbers, PerHead, Several

# Half a unit in the last place of a float32 number of size 1.
ROUNDING = 2.0**-24
# Parts of a record that are ways to use a stack of the model.
KINDS = {"tokens": "scores", "blocks": "block_scores"}
STACKS = {"main": "decoder", "stream 0": "decoder", "stream 1": "decoder"}


def tensors_of(record):
    """The tensors of the file of a record."""
    arrays = record.arrays.items()
    return {n.removeprefix("state "): a for n, a in arrays if n.startswith("state ")}


def ours(record):
    """The sum of the biases of the layer of a record, as attnax has it."""
    options, arrays = record.options, record.arrays
    part = options["part"]
    if part == "cross":  # not among the parts: it has no bias
        return jnp.zeros(arrays["expected"].shape)
    config, part = options["config"], STACKS.get(part, part)
    biases = position_bias_from_hf(config, part=part)
    if biases is None:
        return jnp.zeros(arrays["expected"].shape)
    params = position_bias_params_from_checkpoint(tensors_of(record), config, part=part)
    kind = KINDS[options.get("keys", "tokens")]
    total = 0.0
    for term in biases.layers[options["layer"]].terms:
        if term.kind == kind:
            own = None if term.params_index is None else params[term.params_index]
            total = total + bias_of(*on_grid(term.bias, own, record), record)
    return jnp.broadcast_to(total, arrays["expected"].shape)


def on_grid(bias, params, record):
    """A bias and its parameters for the grid of a record, if it has another one."""
    grid = record.options.get("grid")
    if isinstance(bias, F.DecomposedBias):  # resizes its tables itself
        return dataclasses.replace(bias, q_grid=grid, k_grid=grid), params
    return bias, params


def bias_of(bias, params, record):
    """One bias between the queries and the keys of a record."""
    arrays, reads = record.arrays, bias._reads
    content = {name: read(record, name, reads[name]) for name in reads}
    positions = arrays["q_positions"], arrays["k_positions"]
    half = record.options["config"].get("dtype") == "bfloat16"
    return F.apply_position_bias(
        bias,
        params,
        *positions,
        **content,
        precision="highest",
        dtype=jnp.bfloat16 if half else None,
    ).astype(jnp.float32)


def read(record, end, kind):
    """What a bias reads of queries (`"q"`) or keys (`"k"`), by its kind."""
    arrays = record.arrays
    if isinstance(kind, Several):
        return tuple(read(record, end, one) for one in kind.kinds)
    if isinstance(kind, Boxes):
        return arrays["boxes"]
    if isinstance(kind, Numbers):
        return arrays[f"{end}_segments"].astype(np.int32)
    if "hidden" in arrays:
        hidden = arrays["hidden"]
        heads = (kind.num_heads, kind.width) if isinstance(kind, PerHead) else (-1,)
        return hidden.reshape(*hidden.shape[:2], *heads)
    return arrays["relative_states" if "relative_states" in arrays else end]


def tolerance(record):
    """The error that float32 explains, in sums of a few numbers of this size."""
    return 4 * ROUNDING * (np.abs(record.arrays["expected"]).max() + 1)
