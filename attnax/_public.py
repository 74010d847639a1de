"""The decorator of public functions, which puts their name before an error."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_UNNAMED = ("__init__", "__post_init__", "__check_init__", "__call__")


def public(function: _Function) -> _Function:
    """Returns `function`, with its name in front of argument errors raised inside.

    Code below it speaks of arguments only: `raise ValueError(f"{head_dim=} must be
    even.")` reads `rope_inv_freq: head_dim=3 must be even.` to a user who called
    `rope_inv_freq`. Where one public function calls another, the error names the outer
    one. A method is named with its class. Errors of a constructor and of a call of an
    object name the class alone, and those of a function that a public function makes
    name their maker.
    """
    parts = function.__qualname__.partition(".<locals>")[0].split(".")
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
    """Puts `name` before the text of an error, in place of an inner function's name."""
    # JAX's errors about tracers are subclasses. Python's error about the number of
    # arguments has no frame below this one. Both name their function themselves.
    if type(error) in (TypeError, ValueError) and error.__traceback__.tb_next:
        error.text = getattr(error, "text", str(error))
        error.args = (f"{name}: {error.text}",)
