"""Model types of transformers: writes their names, and checks their families.

    python -m conformance.model_types          # writes model_types.json
    python -m conformance.model_types --check  # some minutes; 1 if anything disagrees

After an update of transformers, run both, and read what changed in
`attnax/interop/model_types.json`.

The check builds the model of every type that has a family of checkpoints, with tables
of a few rows and without values for all else. Its tensors must be those of the family.
Where the family is one table, the input of the first layer must be rows of it, bit for
bit. Types whose models need other packages, or settings without a default, are listed
at the end.
"""

import argparse
import importlib
import json
import pathlib
import sys

import torch
import transformers
from torch import nn
from tqdm import tqdm
from transformers import CONFIG_MAPPING
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from attnax.interop._checkpoint_families.table import (
    CHECKPOINT_FAMILIES,
    CHECKPOINT_TYPES,
)
from attnax.interop._checkpoints.names import find_prefix, find_tensors

PATH = pathlib.Path(__file__).parents[1] / "attnax" / "interop" / "model_types.json"
MAPPINGS = (
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_PRETRAINING_MAPPING",
    "MODEL_MAPPING",
)
ROWS = 64  # of a vocabulary
IDS = torch.tensor([[5, 3, 9, 4]])


def folders():
    """The model types of each folder of transformers."""
    found = {}
    for model_type in sorted(CONFIG_MAPPING_NAMES):
        folder = CONFIG_MAPPING[model_type].__module__.split(".")[2]
        found.setdefault(folder, []).append(model_type)
    return dict(sorted(found.items()))


def write():
    lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in folders().items())
    version = json.dumps(f"transformers {transformers.__version__}")
    text = ",\n".join(lines)
    PATH.write_text(f'{{\n "source": {version},\n "folders": {{\n{text}\n }}\n}}\n')


class Shapes:
    """The tensors of a model as the family's rules read them."""

    def __init__(self, model):
        state = model.state_dict().items()
        self.shapes = {name: tuple(tensor.shape) for name, tensor in state}
        self.names = tuple(self.shapes)

    def describe(self, name):
        """Shape and dtype."""
        return self.shapes[name], "float32"


class Entered(BaseException):
    """Returns what entered the first layer."""


class FirstLayer(nn.Module):
    """Stands for a layer, whose settings the model may ask for, and ends the run."""

    def __init__(self, layer):
        super().__init__()
        own = vars(layer).items()
        vars(self).update({name: value for name, value in own if name[0] != "_"})

    def forward(self, *args, **kwargs):
        """Ends the run."""
        raise Entered(args[0] if args else kwargs["hidden_states"])


def build(model_type):
    """A model without numbers, and with small vocabularies."""
    config = CONFIG_MAPPING[model_type]()
    for part in (config, getattr(config, "text_config", None)):
        for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if isinstance(getattr(part, key, None), int):
                setattr(part, key, 1)
        if isinstance(getattr(part, "vocab_size", None), int):
            part.vocab_size = ROWS
    with torch.device("meta"):
        return class_for(type(config))._from_config(config).eval()


def class_for(config_class):
    """The model of a configuration, by the tables or else from the code beside it."""
    mappings = [getattr(modeling_auto, name) for name in MAPPINGS]
    found = [mapping[config_class] for mapping in mappings if config_class in mapping]
    if found:
        return found[0][0] if isinstance(found[0], tuple) else found[0]
    beside = config_class.__module__.replace("configuration_", "modeling_")
    own = [
        value
        for value in vars(importlib.import_module(beside)).values()
        if getattr(value, "config_class", None) is config_class
        and not value.__name__.endswith("PreTrainedModel")
    ]
    return next(value for value in own if value.__name__.endswith("Model"))


def stored(family, model):
    """The prefix and the tensors; a `ValueError` if they are not the family's."""
    source = Shapes(model)
    prefix = find_prefix(family, source.names, None)
    return prefix, find_tensors(family, source, prefix, {})


def compare(family, model, prefix, tensors):
    """Whether rows agree, or `None` where rows cannot be compared."""
    if family.kind != "token" or len({tensor.role for tensor in tensors}) > 2:
        return None
    owner = model.get_submodule(prefix.removesuffix("."))
    name = next((n for n in ("layers", "h") if hasattr(owner, n)), None)
    if name is None:
        return None
    layers = getattr(owner, name)
    others = [nn.Identity() for _ in layers[1:]]
    setattr(owner, name, nn.ModuleList([FirstLayer(layers[0]), *others]))
    owner.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*owner.parameters(), *owner.buffers()):
            _ = tensor.normal_() if tensor.is_floating_point() else tensor.zero_()
    table = owner.get_parameter(tensors[0].name.removeprefix(prefix))
    try:
        owner(input_ids=IDS)
    except Entered as entered:
        return torch.equal(entered.args[0].float(), table[IDS].float())
    return False


def check():
    wrong, compared, not_run = [], 0, []
    for model_type in tqdm(sorted(set(CHECKPOINT_TYPES) & set(CONFIG_MAPPING_NAMES))):
        family = CHECKPOINT_FAMILIES[CHECKPOINT_TYPES[model_type]]
        try:
            model = build(model_type)
        except Exception:
            not_run.append(model_type)
            continue
        try:
            prefix, tensors = stored(family, model)
        except ValueError as error:
            wrong.append(f"{model_type}: {error}")
            continue
        try:
            agreed = compare(family, model, prefix, tensors)
        except Exception:
            not_run.append(model_type)
            continue
        compared += agreed is not None
        wrong += [model_type] * (agreed is False)
    print(f"rows of {compared} types compared; not run: {' '.join(not_run)}")
    for line in wrong:
        print(f"DISAGREED  {line}")
    return int(bool(wrong))


def main():
    parser = argparse.ArgumentParser(
        prog="python -m conformance.model_types",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    if parser.parse_args().check:
        return check()
    return write()


if __name__ == "__main__":
    sys.exit(main())
