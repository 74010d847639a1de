"""Biases of records that come from functions alone, and so have no config."""

import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.functional._biases.windows.separable import resized_rows

# The rules of tables of another size, by their names in the records.
_RESIZING = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    "offsets": "bicubic_antialias",
    "geometric linear": "geometric",
    "geometric cubic": "geometric_cubic",
}


# The part of a record of vectors of pairs.
PAIRS = "input_embedder"


def is_table(options):
    """Whether a record is of a table alone."""
    return "method" in options


def is_nothing(options):
    """Whether a record shows that cross-attention has no bias."""
    return options.get("part") == "cross"


def is_module(options):
    """Whether a record is of a module of timm or of ViTDet's function."""
    return "q_grid" in options or options["config"]["model_type"] == "timm"


def has_no_layer(record):
    """Whether a record has no layer of a model."""
    options = record.options
    if is_table(options) or is_nothing(options):
        return True
    return options["part"] == PAIRS or is_module(options)


def bias_and_params(options, tensors):
    """The bias of a module of timm or of ViTDet's function, with its parameters."""
    grid = options.get("grid")
    if "q_grid" in options:
        tables = (tensors["rel_pos_h"], tensors["rel_pos_w"])
        width = tables[0].shape[1]
        bias = F.DecomposedBias(2, width, options["q_grid"], options["k_grid"])
        return bias, F.DecomposedBiasParams(tables)
    if "attention_biases" in tensors:
        table = tensors["attention_biases"].T
        return F.OffsetBias(table.shape[1], grid), F.TableBiasParams(table)
    prefix = options.get("num_prefix_tokens", 0)
    if "relative_position_bias_table" in tensors:
        table = tensors["relative_position_bias_table"]
        bias = F.WindowBias(table.shape[1], grid, num_prefix_tokens=prefix)
        return bias, F.TableBiasParams(table)
    own = {name.split(".", 1)[1]: tensor for name, tensor in tensors.items()}
    offset = own.get("fc2.bias")
    bias = F.LogCoordinateBias(
        own["fc2.weight"].shape[0],
        grid,
        hidden_size=len(own["fc1.weight"]),
        pretrained_window=options.get("pretrained_window"),
        num_prefix_tokens=prefix,
        form="swin_v2" if offset is None else "cr",
    )
    weights = own["fc1.weight"].T, own["fc1.bias"], own["fc2.weight"].T
    return bias, F.LogCoordinateBiasParams(*weights, offset)


def positions(options):
    """Token numbers of the grids of queries and keys."""
    return tuple(range(np.prod(options[f"{end}_grid"])) for end in "qk")


def resized(record):
    """A table for another window."""
    options = record.options
    windows = [options.get("old_window"), options.get("new_window")]
    if windows[0] is None:  # a table of one axis
        return resized_rows(jnp.asarray(record.arrays["table"]), options["new_len"])
    return F.resize_relative_table(
        record.arrays["table"],
        *windows,
        method=_RESIZING[options["method"]],
        signed=options["method"] != "offsets",
        num_extra_rows=options.get("extra_rows", 0),
    )


def pair_vectors(record, weight):
    """The vectors that ESMFold2 adds to pairs of residues: the columns of four maps."""
    arrays, config = record.arrays, record.options["config"]
    names = ("residue_index", "token_index", "asym_id", "sym_id", "entity_id")
    return F.apply_pair_encoding(
        F.PairEncodingParams(weight.T),
        *(arrays[name] for name in names),
        max_distance=config["num_relative_residx_bins"],
        max_copies=config["num_relative_chain_bins"],
    )
