"""Inputs and outputs of other people's code, to compare now or to keep as a file."""

import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

FOLDER = pathlib.Path(__file__).parents[2] / "tests" / "golden"


class Record(NamedTuple):
    """One call of someone else's code.

    Attributes:
        name: The name of the test.
        source: Package, version, and the class or function that was run.
        options: The settings of the call, which JSON can hold.
        arrays: The inputs, and the output under `"expected"`.
    """

    name: str
    source: str
    options: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(stem, records):
    """Writes `stem`.json with a record per line, and `stem`.npz; equal arrays once."""
    lines, arrays, known = [], {}, {}
    for record in records:
        named = {}
        for name, array in record.arrays.items():
            array = np.asarray(array)
            content = (array.dtype.str, array.shape, array.tobytes())
            if content not in known:
                known[content] = f"a{len(known)}"
                arrays[known[content]] = array
            named[name] = known[content]
        lines.append(json.dumps(record._replace(arrays=named)._asdict()))
    text = ",\n".join(lines)
    (FOLDER / f"{stem}.json").write_text(f"[\n{text}\n]\n")
    np.savez_compressed(FOLDER / f"{stem}.npz", **arrays)


def load(stem):
    """Returns the records that `save` wrote."""
    arrays = np.load(FOLDER / f"{stem}.npz")
    return [
        Record(**line | {"arrays": {n: arrays[a] for n, a in line["arrays"].items()}})
        for line in json.loads((FOLDER / f"{stem}.json").read_text())
    ]
