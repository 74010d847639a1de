"""Values of the wrong kind for every argument of `public_calls`, and what comes out.

As a program it prints, one a line, what functions accept and what bad errors they
raise, so that a test can give the same to those that the type-checking hook guards.
"""

import json
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from public_calls import CALLS, Call

NUMBERS = {
    "True": True,
    "2.5": 2.5,
    "nan": float("nan"),
    "-1": -1,
    "0": 0,
    "1000": 1000,
    "1j": 1j,
    "np.int64(3)": np.int64(3),
    "np.float64(2.5)": np.float64(2.5),
}
OTHERS = {
    "None": None,
    "text": "text",
    "bytes": b"",
    "object": object(),
    "function": len,
    "dict": {},
    "key": jax.random.key(1),
}
SEQUENCES = {
    "[]": [],
    "[1.5]": [1.5],
    "['a']": ["a"],
    "lists of unequal lengths": [[1], [1, 2]],
    "five integers": (1, 2, 3, 4, 5),
    "(-1, 2)": (-1, 2),
}
ARRAYS = {
    "five axes of int8": np.ones((1, 1, 1, 1, 1), np.int8),
    "no axis": np.array(1.5),
    "another shape": np.ones((2, 7), np.float32),
    "complex": np.ones((1, 3, 4), np.complex64),
    "a text": np.array("text"),
    "objects": np.array([None, 1], object),
    "float16": np.ones((1, 3, 2, 4), np.float16),
    "integers of JAX": jnp.arange(3),
    "a number of JAX": jnp.float32(1.5),
}
VALUES = NUMBERS | OTHERS | SEQUENCES | ARRAYS
# Enough for fields of parameters.
FEW = {name: VALUES[name] for name in ("None", "True", "text", "[1.5]", "complex")}
# 2**40 of these, no memory holds.
SIZES = (
    *("d_layer", "d_model", "grid", "head_dim", "image_size", "max_patches"),
    *("max_seq_len", "merge_size", "new_grid", "new_patch_size", "num_channels"),
    *("num_heads", "num_layers", "num_positions", "num_prefix_tokens"),
    *("num_token_types", "num_tokens_with_position", "num_tokens_without_position"),
    *("padded_size", "patch_size", "rotary_pairs", "total_len", "vocab_size"),
)


def cases(call: Call) -> Iterator[tuple[str, str, Any]]:
    """Argument, what it is given in words, and that."""
    for argument in call.names():
        if argument == "key" and argument not in call.arguments:
            continue  # of a module's call, which ignores it
        valid = call.arguments.get(argument)
        for kind, value in VALUES.items():
            yield argument, kind, value
        if argument not in SIZES:
            yield argument, "2**40", 2**40
        if isinstance(valid, np.ndarray):
            for kind, value in _variants(valid):
                yield argument, f"its own, {kind}", value
        if hasattr(valid, "_fields"):
            yield argument, "its dict", valid._asdict()
            yield argument, "its tuple", tuple(valid)
            for field in valid._fields:
                for kind, value in FEW.items():
                    changed = valid._replace(**{field: value})
                    yield argument, f"{field} = {kind}", changed


def _variants(array):
    """A valid array in other dtypes, and with other axes."""
    yield "as lists", array.tolist()
    for dtype in (complex, int, str):
        # NumPy cannot write floats of 8 bits as text.
        wide = array if array.dtype.kind in "biufc" else array.astype(np.float32)
        yield f"as {np.dtype(dtype).name}", wide.astype(dtype)
    yield "with more axes", array[None, None]
    if array.ndim:
        yield "with no rows", array[:0]
    for axis in range(array.ndim):
        yield f"one shorter along axis {axis}", np.delete(array, 0, axis)


class Outcome(NamedTuple):
    """What a call with a value of the wrong kind came to."""

    accepted: bool
    shortfall: str | None  # an error that is not good, in short


def outcome(name: str, argument: str, kind: str, value) -> Outcome:
    """What comes of `value`, called `kind`, for an argument.

    A good error is a `ValueError` or a `TypeError` that begins with the name of the
    function and names the argument, or the field of it that is wrong.
    """
    call, (accepted, error) = CALLS[name], tried(name, argument, value)
    if accepted or is_of_hook(error):
        return Outcome(accepted, None)
    text = str(error)
    named = {argument, kind.partition(" = ")[0]} if " = " in kind else {argument}
    if argument == "settings":  # a `**settings`: whatever it is called
        named = {r"settings|\w+="}
    good = (
        type(error) in (ValueError, TypeError)
        and text.startswith(f"{call.name}: ")
        and re.search(rf"\b({'|'.join(named)})\b", text.partition(": ")[2])
    )
    bad = f"{argument}, {kind}: {type(error).__name__}: {text[:200]}"
    return Outcome(False, None if good else bad)


def tried(name: str, argument: str, value) -> tuple[bool, Exception | None]:
    """Whether a call takes `value`, and what it raised; nothing is computed."""
    call = CALLS[name]
    # Files are read on the host.
    staged = not name.startswith("interop.")
    with warnings.catch_warnings():
        # An array in place of a static setting is what is tried here.
        warnings.filterwarnings("ignore", "A JAX array is being set as static")
        try:
            if staged:
                jax.eval_shape(lambda: (call(**{argument: value}), None)[1])
            else:
                call(**{argument: value})
        except Exception as error:
            return False, error
    return True, None


def is_of_hook(error) -> bool:
    """Whether the type-checking hook has refused the call."""
    return type(error).__name__ == "TypeCheckError"


def main():
    for name, call in CALLS.items():
        for argument, kind, value in cases(call):
            case = name, argument, kind
            print(json.dumps([*case, *outcome(*case, value)]))


if __name__ == "__main__":
    warnings.simplefilter("error")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    sys.exit(main())
