"""What attnax makes of the config and the tensors of a record."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.functional._biases.core.content import Boxes, Numbers, PerHead, Several
from attnax.interop import position_bias_from_hf, position_bias_params_from_checkpoint

from . import without_config

# Half a unit in the last place of a float32 number of size 1.
ROUNDING = 2.0**-24
# Parts of a record that are ways to use a stack of the model.
STACKS = {"main": "decoder", "stream 0": "decoder", "stream 1": "decoder"}
# What terms of each kind are added to, by the keys of a record.
KINDS = {"tokens": "scores", "blocks": "block_scores"}


def in_one_program(bias, params, q_positions, k_positions, **settings):
    """`apply_position_bias` at known positions, compiled as a whole."""
    content = {name: settings.pop(name) for name in "qk" if name in settings}

    def run(params, content):
        return F.apply_position_bias(
            bias, params, q_positions, k_positions, **content, **settings
        )

    return jax.jit(run)(params, content)


def ours(record, apply=in_one_program):
    """The sum of the biases of the layer of a record, as attnax has it."""
    options, arrays = record.options, record.arrays
    shape = arrays["expected"].shape
    if without_config.is_table(options):
        return without_config.resized(record)
    if options["part"] == without_config.PAIRS:
        (weight,) = tensors_of(record).values()
        return without_config.pair_vectors(record, weight)
    total = np.zeros(shape)
    for bias, params in terms_of(record):
        total += np.asarray(bias_of(bias, params, record, apply), np.float64)
    # A record holds 0 where the model has a mask.
    return total * arrays["mask"] if "mask" in arrays else total


def terms_of(record):
    """The biases of the layer of a record, each with its parameters."""
    options = record.options
    if without_config.is_module(options):
        return [without_config.bias_and_params(options, tensors_of(record))]
    biases, params = of_model(record)
    if biases is None:
        return []
    kind = KINDS[options.get("keys", "tokens")]
    terms = biases.terms(params, layer_of(options), kind=kind)
    return [as_used(bias, own, record) for bias, own in terms]


def of_model(record):
    """The biases of the stack of a record, and their parameters."""
    part = STACKS.get(record.options["part"], record.options["part"])
    config = record.options["config"]
    biases = position_bias_from_hf(config, part=part)
    tensors = tensors_of(record)
    return biases, position_bias_params_from_checkpoint(tensors, config, part=part)


def has_its_scale(record):
    """Whether attnax has the scale of the layer, if it has a layer with biases."""
    if without_config.has_no_layer(record):
        return True
    biases, _ = of_model(record)
    if biases is None:
        return True
    expected = record.options["scale"]
    scale = biases.layers[layer_of(record.options)].scale
    if expected is None or scale is None:
        return expected is scale
    return math.isclose(scale, expected, rel_tol=4 * ROUNDING)


def tensors_of(record):
    """The tensors of the file of a record."""
    arrays = record.arrays.items()
    return {n.removeprefix("state "): a for n, a in arrays if n.startswith("state ")}


def layer_of(options):
    """The number of a layer, which Funnel's records name by its block."""
    layer, sizes = options["layer"], options["config"].get("block_sizes")
    if isinstance(layer, int):
        return layer
    stack, *_, block, number = layer.split(".")
    before = sizes[: int(block)] if stack == "encoder" else ()
    return sum(before) + int(number)


def as_used(bias, params, record):
    """A bias and its parameters, for the grid and the segments of a record."""
    grid = record.options.get("grid")
    if isinstance(bias, F.DecomposedBias):  # resizes its tables itself
        return dataclasses.replace(bias, q_grid=grid, k_grid=grid), params
    if isinstance(bias, F.WindowBias) and bias.window != tuple(grid):
        sizes = {"method": "bilinear", "num_extra_rows": 3}
        table = F.resize_relative_table(params.table, bias.window, grid, **sizes)
        return dataclasses.replace(bias, window=grid), F.TableBiasParams(table)
    if getattr(bias, "segments", False) and "q_segments" not in record.arrays:
        return dataclasses.replace(bias, segments=False, class_segment=None), params
    return bias, params


def bias_of(bias, params, record, apply):
    """One bias between the queries and the keys of a record."""
    reads = bias._reads
    content = {name: read(record, name, reads[name]) for name in reads}
    positions = positions_of(record)
    half = record.options["config"].get("dtype") == "bfloat16"
    return apply(
        bias,
        params,
        *positions,
        **content,
        precision="highest",
        dtype=jnp.bfloat16 if half else None,
    )


def positions_of(record):
    """The positions of queries and of keys."""
    if "q_positions" not in record.arrays:
        return without_config.positions(record.options)
    ends = (record.arrays[f"{end}_positions"] for end in "qk")
    if record.options["config"].get("bi_data"):
        # The second half of a batch of XLNet reads from the end.
        return tuple(np.stack([positions, -positions]) for positions in ends)
    return tuple(ends)


def is_refused(record):
    """Whether attnax refuses the settings, in which transformers is at fault."""
    config = record.options.get("config", {})
    gemma4 = config.get("model_type") == "gemma4_audio"
    return gemma4 and config["attention_context_right"] != 0


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
    """The error that float32 explains.

    Every sum of `n` numbers has up to `n` roundings, which add up like steps in
    directions of their own. Angles of sinusoids are rounded too.
    """
    if without_config.is_table(record.options):
        return resizing_tolerance(record)
    size = np.abs(record.arrays["expected"]).max() + 1
    if record.options["part"] == without_config.PAIRS:
        return 4 * ROUNDING * size
    terms = terms_of(record)
    longest = max((longest_sum(bias, params) for bias, params in terms), default=1)
    return 4 * np.sqrt(longest) * ROUNDING * size + sum(
        angle_tolerance(bias, params) for bias, params in terms
    )


def longest_sum(bias, params):
    """The greatest number of products that a bias adds up."""
    return 1 + sum(max(np.shape(leaf)) for leaf in jax.tree.leaves(params))


def angle_tolerance(bias, params):
    """The error of rounded angles, for sinusoids of logarithms of boxes."""
    if not isinstance(bias, F.BoxRelationBias):
        return 0.0
    # Quotients of sizes lie in [1e-8, 1e8], for boxes of at most 1000.
    largest = bias.scale * np.log(1e8)
    return largest * 2 * ROUNDING * np.abs(params.weight).sum(axis=0).max()


def resizing_tolerance(record):
    """The error of the other code, whose places are rounded to float32.

    A place along an axis is off by up to the number of places times a rounding, and the
    values there by as much times the largest step between neighbors.
    """
    options = record.options
    windows = (options.get(f"{end}_window", ()) for end in ("old", "new"))
    places = [2 * side - 1 for window in windows for side in window]
    places += [options.get("old_len", 0), options.get("new_len", 0)]
    return 2 * (4 + max(places)) * ROUNDING * np.abs(record.arrays["table"]).max()
