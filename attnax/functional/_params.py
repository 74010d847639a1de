"""Parameters that a checkpoint gave back as plain dicts or lists."""

from collections.abc import Mapping


def check_params(function, params, kind, name="params"):
    """A `ValueError` for a container in place of the named tuple `kind`."""
    if isinstance(params, Mapping):
        make = f"F.{kind}(**{name})"
    elif isinstance(params, list) or type(params) is tuple:
        make = f"F.{kind}(*{name})"
    else:
        return
    raise ValueError(
        f"{function}: {name} is a {type(params).__name__}, but must be an F.{kind}; "
        f"make one with {make}, and so its fields, or restore the checkpoint with "
        "those of an init as its target."
    )
