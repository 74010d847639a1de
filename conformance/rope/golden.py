"""Writes golden rotations of transformers for tests that need neither it nor torch.

    python -m conformance.rope.golden

`tests/golden/hf_ropes.json` has a record per configuration and type of layer, one a
line; `tests/golden/hf_ropes.npz` the positions and the rotated queries. Records whose
rotations are the same to the bit share them. The queries are drawn anew, and the
channels beside those that are stored stay what they are.
"""

import json
import logging
import pathlib

import numpy as np
import torch
import transformers
from tqdm import tqdm
from transformers import PreTrainedConfig

from . import irregular, scaling
from .compare import Observation
from .subjects import subjects
from .walk import observe

FOLDER = pathlib.Path(__file__).parents[2] / "tests" / "golden"
# Of the positions of the walk: 1, 5, 127, 1000, 64 and the last.
ROWS = [1, 3, 5, 7, 10, 12]


def observations():
    """Yields what every configuration does."""
    found = list(subjects())
    works = [lambda s=s: observe(s) for s in found]
    works += [lambda c=c: scaling.observe(*c) for c in scaling.cases(found)]
    works += irregular.CASES
    for work in tqdm(works, unit="case"):
        torch.manual_seed(0)
        for seen in work():
            if isinstance(seen, Observation):
                yield seen
            elif work is not irregular.refused_defaults:
                raise SystemExit(f"{seen.name}: {seen.note}")


def record(seen, arrays):
    """The record of an observation, whose arrays are added to `arrays`."""
    out = {
        "name": f"{seen.family}: {seen.name}, {seen.config}",
        "layer_type": seen.layer_type,
        "layer": seen.layer,
        "config": _trimmed(seen.raw),
    }
    if seen.withheld or not seen.made:
        return out | {"positions": None}
    _, before, after = seen.made[0]
    positions, shape = seen.positions.astype(np.int32), list(before.shape)
    rows = ROWS
    if len(positions) >= irregular.LENGTH:  # of a whole image or sequence
        rows = np.linspace(0, len(positions) - 1, len(ROWS)).astype(int)
        before, after = (x if x.ndim == 2 else x[:, 0] for x in (before, after))
        shape = _stored(arrays, "queries", before[rows].numpy())
    positions, before, after = positions[rows], before[rows], after[rows]
    turned = (before != after).any(dim=0).nonzero()
    first, last = int(turned.min()), int(turned.max())
    return out | {
        "positions": _stored(arrays, "positions", positions),
        "queries": shape,
        "first": first,
        "rotated": _stored(arrays, "rotated", after[:, first : last + 1].numpy()),
    }


def _stored(arrays, kind, array):
    """The name of an array; equal arrays of several records are stored once."""
    key = kind, array.shape, array.tobytes()
    name, _ = arrays.setdefault(key, (f"{kind}_{len(arrays)}", array))
    return name


def _trimmed(raw):
    """The config without the keys that every configuration has."""
    common = PreTrainedConfig().to_dict().keys() - {"model_type"}
    return {k: v for k, v in raw.items() if k not in common}


def main():
    """Writes both files."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    arrays = {}
    records = [record(seen, arrays) for seen in observations()]
    np.savez_compressed(FOLDER / "hf_ropes.npz", **dict(arrays.values()))
    source = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "command": "python -m conformance.rope.golden",
        "queries": "float32, (PCG64(0).random_raw >> 40) / 2**23 - 1 in this shape",
        "rows": ROWS,
    }
    lines = ",\n".join(
        json.dumps(line, sort_keys=True, separators=(",", ":")) for line in records
    )
    text = f'{{\n"source": {json.dumps(source)},\n"records": [\n{lines}\n]\n}}\n'
    (FOLDER / "hf_ropes.json").write_text(text)
    print(f"{len(records)} records, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
