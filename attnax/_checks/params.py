"""Parameters that a checkpoint gave back as plain dicts or lists."""

from collections.abc import Mapping


def check_params(params, kind, name="params"):
    """A `ValueError` for a container in place of the named tuple `kind`."""
    if isinstance(params, Mapping):
        stars = "**"
    elif isinstance(params, list) or type(params) is tuple:
        stars = "*"
    else:
        return
    kind = f"attnax.functional.{kind}"
    raise ValueError(
        f"{name} is a {type(params).__name__}, but must be an {kind}; make "
        f"it with {kind}({stars}{name}), or restore the checkpoint with initialized "
        "parameters as the target."
    )
