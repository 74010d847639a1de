"""Modules made from ready fields, without the random draws of `__init__`."""

from typing import Any

from ..interop import EmbeddingCheckpoint


def from_fields(module, **fields):
    """Returns an instance of `module` with these fields, after its own checks."""
    made = object.__new__(module)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    made.__check_init__()
    return made


def params_of(checkpoint, kind) -> Any:
    """Returns the parameters of a checkpoint; raises unless they are a `kind`."""
    if not isinstance(checkpoint, EmbeddingCheckpoint):
        raise ValueError(
            f"checkpoint is a {type(checkpoint).__name__}, but must be an "
            "EmbeddingCheckpoint, as attnax.interop.params_from_checkpoint returns it."
        )
    if not isinstance(checkpoint.params, kind):
        raise ValueError(
            f"checkpoint.params is a {type(checkpoint.params).__name__}, but must be "
            f"an attnax.functional.{kind.__name__}; take the module of that name."
        )
    return checkpoint.params
