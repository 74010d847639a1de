"""Parameters: the named tuples that `init_*` makes, with arrays of the right rank."""

from collections.abc import Mapping

from .settings import type_of


def check_params(params, kind, name="params", *, optional=False) -> None:
    """Raises unless `params` is a `kind`, or `None` where it is optional.

    Checkpoints often give plain dicts and lists back; the error then says how to make
    the named tuple of them.
    """
    if isinstance(params, kind) or (optional and params is None):
        return
    public_name = f"attnax.functional.{kind.__name__}"
    hint = ""
    if isinstance(params, Mapping | list) or type(params) is tuple:
        stars = "**" if isinstance(params, Mapping) else "*"
        hint = (
            f"; make it with {public_name}({stars}{name}), or restore the checkpoint "
            "with initialized parameters as the target"
        )
    raise ValueError(
        f"{name} is {type_of(params)}, but must be an {public_name}{hint}."
    )
