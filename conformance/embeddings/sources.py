"""Other people's files, of packages that are not installed whole."""

import importlib
import importlib.machinery
import importlib.util
import sys
import types


def file_of_timm(name):
    """A module such as `"layers.pos_embed"`, without what timm imports beside it.

    timm's own `__init__` wants torchvision, which these files do not.
    """
    if "timm" not in sys.modules:
        root = importlib.util.find_spec("timm").submodule_search_locations[0]
        for package, folder in (("timm", root), ("timm.layers", f"{root}/layers")):
            module = sys.modules[package] = types.ModuleType(package)
            module.__path__ = [folder]
            # Others ask whether timm is there.
            module.__spec__ = importlib.machinery.ModuleSpec(package, None)
    return importlib.import_module(f"timm.{name}")
