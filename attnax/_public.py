"""The one place where an error gets the name of the function that the user called."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_UNNAMED = ("__init__", "__post_init__", "__check_init__", "__call__")


def public(function: _Function) -> _Function:
    """Marks what users call: argument errors raised inside begin with its name.

    The code below speaks of arguments only. `raise ValueError(f"{head_dim=} must be
    even.")` reads `rope_inv_freq: head_dim=3 must be even.` where a user called
    `rope_inv_freq`. Where one public function calls another, the outer one is named. A
    method is named with its class; the making and the call of an object, by the class
    alone.
    """
    parts = function.__qualname__.split(".")
    name = ".".join(part for part in parts if part not in _UNNAMED)

    @functools.wraps(function)
    def named(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            _begin_with(name, error)
            raise

    return cast(_Function, named)


def _begin_with(name, error):
    """Puts `name` before the text of an error, in place of an inner function's."""
    # JAX's errors about tracers and Python's about the number of arguments, which has
    # no frame below, name their function themselves.
    if type(error) in (TypeError, ValueError) and error.__traceback__.tb_next:
        error.text = getattr(error, "text", str(error))
        error.args = (f"{name}: {error.text}",)
