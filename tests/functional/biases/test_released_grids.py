"""Biases of windows and pictures of released code.

`python -m conformance.biases.golden` writes the records, and says their sources.
"""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow
from query_biases import matrix

import attnax.functional as F
from attnax.functional._biases.windows.separable import resized_rows
from conformance.embeddings.records import load

RECORDS = {record.name: record for record in load("grid_biases")}
TABLES = [n for n, record in RECORDS.items() if "method" in record.options]
MODELS = [n for n in RECORDS if n not in TABLES]
QUICK = [n for n in MODELS if re.match("swin, |clap|levit: |sam|vitdet: image", n)]
OTHERS = [n for n in MODELS if n not in QUICK]
RULES = {
    "offsets": "bicubic_antialias",
    "geometric linear": "geometric",
    "geometric cubic": "geometric_cubic",
}


def read(name):
    """The options, the arrays and the tensors of a record."""
    _, _, options, arrays = RECORDS[name]
    tensors = {n[6:]: a for n, a in arrays.items() if n.startswith("state ")}
    return options, arrays, tensors


def of_layer(tensors, options):
    """The tensors of the layer of a record, by the last part of their names."""
    stage, block, place = (options.get(n) for n in ("stage", "block", "place"))
    layer = options.get("layer")
    own = {
        "block": rf"layers\.{stage}\.blocks\.{block}\.",
        "place": rf"stages\.{stage}\.layers\.{place}\.",
    }
    at = next((own[n] for n in own if n in options), rf"(layers?|blocks)\.{layer}\.")
    found = {n: t for n, t in tensors.items() if re.search(at, n)}
    return {re.sub(r".*?((\w+\.)?\w+)$", r"\1", n): t for n, t in found.items()}


def only(tensors, end):
    return next(t for n, t in tensors.items() if n.endswith(end))


def of_window(options, tensors):
    own = tensors if options["config"]["model_type"] == "timm" else None
    table = only(own or of_layer(tensors, options), "bias_table")
    prefix = options.get("num_prefix_tokens", 0)
    bias = F.WindowBias(table.shape[1], options["grid"], num_prefix_tokens=prefix)
    yield bias, F.TableBiasParams(table)


def of_beit(options, tensors):
    config, grid = options["config"], options["grid"]
    size, patch = config["image_size"], config["patch_size"]
    size = [size, size] if isinstance(size, int) else size
    for name, table in tensors.items():
        layer = re.search(r"layer\.(\d+)\.", name)
        if layer is None or int(layer[1]) == options["layer"]:
            table = F.resize_relative_table(
                table,
                [side // patch for side in size],
                grid,
                method="bilinear",
                num_extra_rows=3,
            )
            bias = F.WindowBias(table.shape[1], grid, num_prefix_tokens=1)
            yield bias, F.TableBiasParams(table)


def of_offsets(options, tensors):
    own = tensors if options["config"]["model_type"] == "timm" else None
    table = only(own or of_layer(tensors, options), "attention_biases").T
    yield F.OffsetBias(table.shape[1], options["grid"]), F.TableBiasParams(table)


def of_network(options, tensors):
    if options["config"]["model_type"] == "timm":
        parts = [
            tensors.get(f"mlp.{n}") for n in ("fc1.weight", "fc1.bias", "fc2.weight")
        ]
        parts.append(tensors.get("mlp.fc2.bias"))
        first = options.get("pretrained_window")
    else:
        own = of_layer(tensors, options)
        parts = [only(own, n) for n in ("0.weight", "0.bias", "2.weight")] + [None]
        side = options["config"]["pretrained_window_sizes"][options["stage"]]
        first = (side, side) if side else None
    bias = F.LogCoordinateBias(
        len(parts[2]),
        options["grid"],
        hidden_size=len(parts[1]),
        pretrained_window=first,
        num_prefix_tokens=options.get("num_prefix_tokens", 0),
        form="swin_v2" if parts[3] is None else "cr",
    )
    yield bias, F.LogCoordinateBiasParams(parts[0].T, parts[1], parts[2].T, parts[3])


def of_query(options, tensors):
    own = tensors if options["part"] == "function" else of_layer(tensors, options)
    tables = tuple(only(own, f"rel_pos_{axis}") for axis in "hw")
    grids = [options.get(f"{n}_grid", options.get("grid")) for n in "qk"]
    bias = F.DecomposedBias(2, tables[0].shape[1], *grids)
    yield bias, F.DecomposedBiasParams(tables)


KINDS = {
    "BeitModel|Data2Vec": of_beit,
    "swinv2|timm: (swin|cr)": of_network,
    "swin|clap|timm: window": of_window,
    "levit|timm": of_offsets,
    "sam|vitdet": of_query,
}


@pytest.mark.parametrize("name", [*QUICK, *slow(*OTHERS)])
def test_biases_of_models(name):
    options, arrays, tensors = read(name)
    made = next(kind for start, kind in KINDS.items() if re.match(start, name))
    total, content = 0.0, {"q": arrays["q"]} if "q" in arrays else {}
    for bias, params in made(options, tensors):
        ends = [
            arrays.get(f"{n}_positions", range(getattr(bias, size, 0)))
            for n, size in (("q", "num_queries"), ("k", "num_keys"))
        ]
        ends = [range(len(t)) if np.array_equal(t, range(len(t))) else t for t in ends]
        total = total + np.asarray(matrix(bias, params, *ends, **content))
    expected = arrays["expected"]
    # Look-ups are exact; a sum of two tables, 16 sigmoids of sums of 512 numbers, and
    # products of 6 numbers are rounded in their size, there and here.
    size = np.abs(expected).max() + 1
    np.testing.assert_allclose(total, expected, rtol=0, atol=8 * 2.0**-24 * size)


@pytest.mark.parametrize("name", [*TABLES[:2], *slow(*TABLES[2:])])
def test_tables_of_another_window(name):
    options, arrays, _ = read(name)
    table, method = arrays["table"], options["method"]
    if method == "linear":
        actual = resized_rows(jnp.asarray(table), options["new_len"])
    else:
        actual = F.resize_relative_table(
            table,
            options["old_window"],
            options["new_window"],
            method=RULES.get(method, method),
            signed=method != "offsets",
            num_extra_rows=options.get("extra_rows", 0),
        )
    # PyTorch rounds the places that it samples, up to 15, in float32: half a unit of
    # them times a slope of up to 8 between two entries; products round a few times.
    np.testing.assert_allclose(
        actual, arrays["expected"], rtol=0, atol=8 * 16 * 2.0**-24
    )
