"""Tiny models, what their attention adds to scores, and tensors as files hold them."""

import contextlib
import json
import pathlib
import re
import tempfile
import unittest.mock

import numpy as np

from ..embeddings.checkpoint_models import drawn
from ..embeddings.records import Record


def of_transformers(name, config_class=None, **config):
    """A tiny model of transformers with every parameter drawn, and its source.

    `config_class` names the config of a model type that uses the code of another.
    """
    import transformers

    model = getattr(transformers, name)
    made = getattr(transformers, config_class) if config_class else model.config_class
    config = made(**config)
    model = drawn(model._from_config(config, attn_implementation="eager"))
    return model, f"transformers {transformers.__version__}, {name}"


def config_of(model):
    """The settings of a model as its config.json holds them."""
    config = json.loads(model.config.to_json_string())
    return {n: v for n, v in config.items() if n not in ("architectures", "dtype")}


def stored(model, pattern):
    """The tensors whose names match, under the names that the model's file has."""
    from safetensors.numpy import load_file
    from transformers.utils import logging

    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        state = load_file(pathlib.Path(folder) / "model.safetensors")
    return {name: state[name] for name in sorted(state) if re.search(pattern, name)}


def named(model, pattern):
    """The tensors whose names match, under the names that the model has in memory."""
    state = model.state_dict()
    return {n: np.asarray(state[n]) for n in state if re.search(pattern, n)}


def without_content(model, pattern):
    """Sets the parameters that match to zero, so that queries or keys are zero."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if re.search(pattern, name):
                parameter.zero_()


@contextlib.contextmanager
def recorded_scores():
    """A list of the attention scores that pass a softmax, as they enter it."""
    import torch

    scores, softmax = [], torch.Tensor.softmax

    def recording(tensor, *args, **kwargs):
        scores.append(tensor.detach().clone())
        return softmax(tensor, *args, **kwargs)

    # The function of torch.nn.functional calls the method.
    with unittest.mock.patch.object(torch.Tensor, "softmax", recording):
        with torch.no_grad():
            yield scores


def scores_without_content(model, pattern, *inputs, **named_inputs):
    """The scores of each attention of a run, without the parameters that match."""
    without_content(model, pattern)
    with recorded_scores() as scores:
        model(*inputs, **named_inputs)
    return scores


def modules_of(model, pattern):
    """The modules whose class has a name that matches, in order."""
    return [m for m in model.modules() if re.search(pattern, type(m).__name__)]


def scale_of(attention):
    """The factor of a module on products of queries and keys; `None` if it is learned.

    It is a field of the module, or what its code makes of the width of a head.
    """
    if hasattr(attention, "logit_scale") or hasattr(attention, "per_dim_scale"):
        return None
    for name in ("scaling", "scale", "inv_norm_factor", "softmax_scale"):
        if isinstance(getattr(attention, name, None), float):
            return getattr(attention, name)
    widths = ("attention_head_size", "dim_head", "dim_key", "head_dim")
    return next(getattr(attention, n) for n in widths if hasattr(attention, n)) ** -0.5


def positions(count):
    """Token numbers `0 .. count - 1` of queries and of keys."""
    return {
        name: np.arange(count, dtype=np.int32)
        for name in ("q_positions", "k_positions")
    }


def record(name, source, config, state, arrays, expected, **options):
    """A record of a bias that one layer adds.

    Of a model of transformers, the options hold the `scale` of the layer.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    arrays |= {f"state {name}": tensor for name, tensor in state.items()}
    arrays["expected"] = np.asarray(expected, np.float32)
    return Record(name, source, {"config": config, **options}, arrays)
