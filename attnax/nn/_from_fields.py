"""Modules made from ready fields, without the random draws of `__init__`."""

from typing import Any

from .._checks import plain_number, type_of
from ..interop import EmbeddingCheckpoint


def from_fields(module, **fields):
    """Returns an instance of `module` with these fields, after its own checks.

    NumPy numbers become Python's, which hash like their equals.
    """
    made = object.__new__(module)
    for name, value in fields.items():
        object.__setattr__(made, name, plain_number(value))
    made.__check_init__()
    return made


def params_of(checkpoint, kind) -> Any:
    """Returns the parameters of a checkpoint; raises unless they are a `kind`."""
    if not isinstance(checkpoint, EmbeddingCheckpoint):
        raise ValueError(
            f"checkpoint is {type_of(checkpoint)}, but must be an "
            "EmbeddingCheckpoint, as attnax.interop.params_from_checkpoint returns it."
        )
    if not isinstance(checkpoint.params, kind):
        raise ValueError(
            f"checkpoint.params is {type_of(checkpoint.params)}, but must be "
            f"an attnax.functional.{kind.__name__}; take the module of that name."
        )
    return checkpoint.params
