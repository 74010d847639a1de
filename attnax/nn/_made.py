"""How modules are made from ready fields, and checked once they are made."""

from functools import partial
from typing import Any

import jax

from .._checks import plain_number, type_of
from ..interop._checkpoints.record import check_record


def from_fields(module, **fields):
    """Returns an instance of `module` with these fields, after its own checks.

    NumPy numbers become Python's, which hash like their equals.
    """
    made = object.__new__(module)
    for name, value in fields.items():
        object.__setattr__(made, name, plain_number(value))
    made.__check_init__()
    return made


def check_call(kind, module, *inputs, **named) -> None:
    """Raises what a call of `module` raises for these inputs; computes nothing.

    The call is that of the class `kind`. A subclass may have one of other arguments.
    """
    jax.eval_shape(partial(kind.__call__, module), *inputs, **named)


def params_of(checkpoint, kind) -> Any:
    """Returns the parameters of a checkpoint; raises unless they are a `kind`."""
    check_record(checkpoint)
    if not isinstance(checkpoint.params, kind):
        raise ValueError(
            f"checkpoint.params is {type_of(checkpoint.params)}, but must be "
            f"an attnax.functional.{kind.__name__}; take the module of that name."
        )
    return checkpoint.params
