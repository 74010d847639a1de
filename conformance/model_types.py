"""Writes `attnax/interop/hf_model_types.json`: all model types of transformers.

    python -m conformance.model_types

By the folder that each is of. After an update of transformers, read what changed.
"""

import json
import pathlib

import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

PATH = pathlib.Path(__file__).parents[1] / "attnax" / "interop" / "hf_model_types.json"


def folders():
    """The model types of each folder of transformers."""
    found = {}
    for model_type in sorted(CONFIG_MAPPING_NAMES):
        folder = CONFIG_MAPPING[model_type].__module__.split(".")[2]
        found.setdefault(folder, []).append(model_type)
    return dict(sorted(found.items()))


def main():
    lines = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in folders().items())
    version = json.dumps(f"transformers {transformers.__version__}")
    text = ",\n".join(lines)
    PATH.write_text(f'{{\n "source": {version},\n "folders": {{\n{text}\n }}\n}}\n')


if __name__ == "__main__":
    main()
