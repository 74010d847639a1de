"""Compares, layer by layer, which layers of a model rotate, and by what.

    python -m conformance.rope.layers               # all, a minute or two
    python -m conformance.rope.layers --only llama  # families, classes, configs
    python -m conformance.rope.layers --json results.json

Each model runs a few tokens with its default configuration and with changed ones, as a
skeleton without weights; the function that rotates tells which attention called it.
Needs `pip install -e ".[conformance]"`. Ends with 1 if anything disagrees.
"""

import copy
import inspect
import itertools
import math
import re
import sys

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from attnax.interop import ropes_from_hf

from . import configs, patterns
from .attentions import UNINDEXED
from .compare import AGREED, DISAGREED, NOT_APPLICABLE, Result, excess
from .coordinates import rows_first
from .recorder import record
from .report import command
from .rotary import positions_of
from .skeletons import bounded, leave_out_the_rest, running, skeleton
from .subjects import names_of, subjects
from .walk import TEXT, short

# Their layers run several times, and a layer is one run of one of them.
REPEATED = ("HrmTextAttention",)
# They look their embeddings up themselves.
BY_ID = ("CsmDepthDecoderModel", "Gemma4TextModel")


def tasks():
    """Yields `(subject, what is special, raw config)`; `None` is the default config."""
    found = list(subjects())
    yield from ((subject, "", None) for subject in found)
    names = configs.type_names()
    by_type = {names.get(s.config_class.__name__): s for s in found}
    for model_type, changed in patterns.CHANGED.items():
        for name, more in changed:
            yield by_type[model_type], name, {"model_type": model_type, **more}


def compare(subject, name, raw):
    """The line of one configuration."""
    label = configs.label(subject.config_class, None if raw is None else ())
    result = lambda status, note: Result(
        subject.source.family,
        subject.name or subject.user.__name__,
        f"{label}, {name}" if name else label,
        None,
        status,
        note,
    )
    try:
        if raw is None:
            config = configs.default(subject.config_class)
        else:
            config = subject.config_class.from_dict(copy.deepcopy(raw))
        by_layer, positions = observe(subject, config)
    except Exception as error:
        # Its attention is in the walk.
        return result(NOT_APPLICABLE, short(error))
    raw = raw or configs.as_dict(config)
    try:
        layout = None if raw["model_type"] else "half"
        length = int(positions.max()) + 1
        ropes = ropes_from_hf(raw, seq_len=length, layout=layout)
    except ValueError as error:
        return result(DISAGREED, f"refused: {error}")
    positions = rows_first(raw["model_type"], np.asarray(positions))
    return result(*_judged(ropes, by_layer, positions))


def _judged(ropes, by_layer, positions):
    """Status and note of all layers."""
    count = max(len(ropes), *(index + 1 for index in by_layer), 0)
    theirs = [index in by_layer for index in range(count)]
    ours = [rope is not None for rope in ropes]
    pattern = _pattern(theirs)
    if ours != theirs:
        return DISAGREED, f"{pattern}; attnax: {_pattern(ours)}"
    errors = [
        excess(ropes[index], _axes(ropes[index], positions), before, after)
        for index, slices in by_layer.items()
        for _, before, after in slices[:2]  # queries and keys, no output turned back
        if before.any()
    ]
    if not errors:
        return AGREED, pattern
    worst = max(errors)
    return (AGREED if worst <= 1 else DISAGREED), f"{pattern} {worst:.2g}"


def _axes(rope, positions):
    """The coordinate of each position, for a rope without axes, if all are equal."""
    if rope.axis_of_pair is None and positions.ndim == 2:
        first = positions[:, :1]
        return first[:, 0] if (positions == first).all() else positions
    return positions


def _pattern(flags):
    """The runs of layers that rotate (+) and of layers that do not (-), as text."""
    runs = itertools.groupby(flags)
    return " ".join(f"{'-+'[on]}{len(list(run))}" for on, run in runs)


def observe(subject, config):
    """Runs the model and returns `(rotations by layer, positions)`."""
    model = skeleton(subject.user, config)
    rotary = _rotary_of(model, subject.name)
    attentions = [
        m for m in model.modules() if subject.source.rotates(type(m).__name__)
    ]
    leave_out_the_rest(model, attentions)
    seen = []
    if rotary is not None:
        rotary.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(_ids(args, kwargs)),
            with_kwargs=True,
        )
    names = {id(module): name for name, module in model.named_modules()}
    with record(subject.source) as recorder, running():
        given, _ = positions_of(rotary, TEXT)
        model(**_inputs(model, config, given))
    by_layer = {}
    for rotation in recorder.rotations:
        if any(rotation.caller is a for a in attentions):
            index = _layer_of(names[id(rotation.caller)], rotation.caller)
            if type(rotation.caller).__name__ in REPEATED:
                index = len(by_layer)
            by_layer.setdefault(index, []).extend(rotation.slices)
    return by_layer, _positions(seen[0] if seen else given)


def _rotary_of(model, name):
    """The rotary class of the model, or of the first layer that has one."""
    found = {n: m for n, m in model.named_modules() if type(m).__name__ == name}
    return found[min(found, key=lambda path: path.count("."))] if found else None


def _ids(args, kwargs):
    return kwargs.get("position_ids", args[1] if len(args) > 1 else None)


def _positions(ids):
    """The positions of a rotary class, `(seq_len,)` or `(seq_len, axes)`."""
    ids = ids.squeeze(0) if ids.shape[0] == 1 else ids
    return ids[:, 0].T if ids.ndim == 3 else ids


def _layer_of(path, module):
    index = getattr(module, "layer_idx", None)
    if index is None or type(module).__name__ in UNINDEXED:
        index = re.findall(r"(?<=\.)\d+(?=\.)", f".{path}.")[0]
    return int(index)


def _inputs(model, config, positions):
    names = inspect.signature(model.forward).parameters
    count, width = len(TEXT), getattr(config, "hidden_size", 1)
    values = {
        "position_ids": positions,
        "use_cache": False,
        "encoder_hidden_states": bounded(1, 5, width),
        "hidden_states": bounded(1, count, width),
        "noise_embeds": bounded(1, count, width),
        "context_hidden_states": bounded(1, 0, width),
        "decoder_input_ids": torch.arange(3, 3 + count)[None],
        "decoder_position_ids": positions,
    }
    if any("grid_thw" in name for name in names):
        values |= _picture(model)
    elif "inputs_embeds" in names and type(model).__name__ not in BY_ID:
        values["inputs_embeds"] = bounded(1, count, width)
    else:
        values["input_ids"] = torch.arange(3, 3 + count)[None]
    return {name: value for name, value in values.items() if name in names}


def _picture(model):
    """The patches, in one line, of a picture that is smaller than any window."""
    kinds = nn.Linear | nn.Conv2d | nn.Conv3d
    maps = [(name, m) for name, m in model.named_modules() if isinstance(m, kinds)]
    # The embedding of patches, which is not the first that every class makes.
    first = next((m for name, m in maps if "patch" in name), maps[0][1])
    if isinstance(first, nn.Linear):
        size = first.in_features
    else:
        size = first.in_channels * math.prod(first.kernel_size)
    patches, grid = bounded(48, size), torch.tensor([[1, 6, 8]])
    names = {"hidden_states": patches, "pixel_values": patches}
    sizes = {"merge_sizes": torch.tensor([2])}
    return names | sizes | dict.fromkeys(("grid_thw", "image_grid_thw"), grid)


def run(only):
    """Yields the lines of the table, or those of the names in `only`."""
    lines = []
    chosen = [task for task in tasks() if not only or names_of(task[0]) & set(only)]
    with tqdm(chosen, unit="model") as bar:
        for task in bar:
            bar.set_postfix_str(task[0].source.family)
            torch.manual_seed(0)
            lines.append(compare(*task))
    return lines


def main():
    return command("python -m conformance.rope.layers", __doc__, run)


if __name__ == "__main__":
    sys.exit(main())
