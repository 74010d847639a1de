"""Where results go, checked before anything is measured."""

import os
import pathlib


def missing_place(path: str | None) -> str | None:
    """Returns why nothing can be written to a path, or `None`."""
    if path is None:
        return None
    folder = pathlib.Path(path).parent
    if os.path.isdir(path):
        return f"{path} must be a file, not a folder"
    if not os.path.isdir(folder):
        return f"{path} must be in a folder that exists"
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return f"{path} cannot be written to"
    return None
