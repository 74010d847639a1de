"""Single files of packages whose dependencies are not installed."""

import importlib
import importlib.machinery
import importlib.util
import sys
import types


def file_of_timm(name):
    """A module of timm such as `"layers.pos_embed"`, imported by itself.

    timm's own `__init__` needs torchvision, which these files do not.
    """
    if "timm" not in sys.modules:
        root = importlib.util.find_spec("timm").submodule_search_locations[0]
        for package, folder in (("timm", root), ("timm.layers", f"{root}/layers")):
            module = sys.modules[package] = types.ModuleType(package)
            module.__path__ = [folder]
            # Other packages ask whether timm is installed.
            module.__spec__ = importlib.machinery.ModuleSpec(package, None)
    return importlib.import_module(f"timm.{name}")
