"""Compares attnax with what the code of transformers made of the same queries."""

from dataclasses import asdict, dataclass

import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.functional import Rope
from attnax.interop import rope_from_hf, ropes_from_hf

from .coordinates import rows_first
from .recorder import as_numpy, tokens_first

AGREED, DISAGREED, NOT_APPLICABLE = "agreed", "disagreed", "not applicable"


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        family: Folder of the model in transformers.
        name: Class that makes cos and sin.
        config: Class of configs, with what is special about this one.
        layer_type: Layer type that `rope_from_hf` is given.
        status: `"agreed"`, `"disagreed"` or `"not applicable"`.
        note: The function that rotates and the largest error in units of the
            tolerance, or why there is none.
    """

    family: str
    name: str
    config: str
    layer_type: str | None
    status: str
    note: str = ""

    def as_dict(self):
        """The line as a dict, for a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Observation:
    """The effect of an attention on its queries and keys.

    Attributes:
        family: Folder of the model in transformers.
        name: Class that makes cos and sin.
        config: Class of configs, with what is special about this one.
        layer_type: Layer type that `rope_from_hf` is given.
        raw: Dict that attnax reads.
        positions: Positions `(seq_len,)` or `(seq_len, axes)`, in the model's order.
        made: Triples `(function, before, after)`; empty if the attention does not
            rotate.
        note: Names of the attention and of the functions that rotate.
        layer: Index of the layer, if it has one.
        withheld: Whether the model gives layers of this type no cos and sin.
    """

    family: str
    name: str
    config: str
    layer_type: str | None
    raw: dict
    positions: np.ndarray
    made: list
    note: str
    layer: int | None = None
    withheld: bool = False

    def result(self, status, note):
        """A line of the table."""
        names = self.family, self.name, self.config, self.layer_type
        return Result(*names, status, note)


def tolerance(positions, attention_factor, size):
    """The largest error that float32 angles explain, one number per position.

    The angle in transformers is a float32 product of the position and a frequency,
    which is a rounded power itself. For queries of magnitude up to `size`, the measured
    error was 1.5e-7 per unit of the position. A wrong convention errs by order 1.
    """
    farthest = positions if positions.ndim == 1 else positions.max(axis=-1)
    return (4e-7 * farthest + 2e-6) * attention_factor**2 * size


def excess(rope: Rope, positions, before, after):
    """The largest error in units of the tolerance; above 1 is a disagreement.

    `positions` is `(seq_len,)` or `(seq_len, axes)`, in the order of attnax. `before`
    and `after` are `(seq_len, head_dim)`, or have an axis of heads as well.
    """
    positions = np.asarray(positions)
    if before.ndim == 2:
        before, after = before[:, None], after[:, None]
    before, after = (as_numpy(tokens_first(t, len(positions))) for t in (before, after))
    actual = np.asarray(F.rotate(rope, jnp.asarray(before), positions))
    error = np.abs(actual - after).max(axis=(1, 2))
    size = np.abs(before).max()
    return float((error / tolerance(positions, rope.attention_factor, size)).max())


def judge(observed):
    """The line of the table for an observation; a line is returned as it is."""
    if isinstance(observed, Result):
        return observed
    try:
        rope = _rope_of(observed, observed.layer_type)
    except ValueError as error:
        return observed.result(DISAGREED, f"refused: {error}")
    if not observed.made:
        status = AGREED if rope is None else DISAGREED
        return observed.result(status, f"{observed.note}; {rope}")
    if observed.withheld:
        if rope is not None:
            return observed.result(DISAGREED, f"{observed.note}, but withheld; {rope}")
        rope = _rope_of(observed, None)
    if rope is None:
        return observed.result(DISAGREED, f"{observed.note}; None")
    positions = rows_first(observed.raw["model_type"], observed.positions)
    errors = [
        excess(rope, positions, before, after) for _, before, after in observed.made
    ]
    status = AGREED if max(errors) <= 1 else DISAGREED
    return observed.result(status, f"{observed.note} {max(errors):.2g}")


def _rope_of(observed, layer_type):
    """The rope of a layer type, or of one layer where those of a type differ."""
    raw = observed.raw
    settings = {
        "seq_len": int(observed.positions.max()) + 1,
        "layout": None if raw["model_type"] else "half",
    }
    try:
        return rope_from_hf(raw, layer_type=layer_type, **settings)
    except ValueError as error:
        if "use ropes_from_hf" not in str(error):
            raise
    return ropes_from_hf(raw, **settings)[observed.layer]
