"""The source of transformers: its classes, and the functions that they call."""

import ast
import functools
import importlib
import pathlib
import re
from dataclasses import dataclass
from types import ModuleType

import transformers
from tqdm import tqdm

ROTARY = re.compile(r"Rotary|Rope|RoPE|ROPE")
# Functions and methods that rotate queries and keys by given cos and sin.
APPLIES = re.compile(r"^_?(\w+_)?apply_\w*(rot|rope)\w*$|^rotate_queries_or_keys$")
# Classes that prepare something else than queries and keys.
_HELPERS = re.compile(r"Indexer|Compressor")


@dataclass(frozen=True)
class Source:
    """A `modeling_*.py` file.

    Attributes:
        family: Name of its folder.
        module: The file, imported.
        calls: Functions and methods that each class calls.
    """

    family: str
    module: ModuleType
    calls: dict[str, set[str]]

    def rotary_classes(self):
        """The classes that make cos and sin."""
        return [
            name
            for name in self.calls
            if ROTARY.search(name) and not re.search("Attention|Config", name)
        ]

    def rope_attentions(self):
        """The attention classes that have RoPE in their name."""
        return [n for n in self.calls if ROTARY.search(n) and "Attention" in n]

    def users(self, name):
        """The classes that make instances of class `name`."""
        return [user for user, calls in self.calls.items() if name in calls]

    def rotates(self, name):
        """Whether class `name` itself rotates queries and keys."""
        calls = self.calls.get(name, ())
        return not _HELPERS.search(name) and any(APPLIES.match(c) for c in calls)


@functools.cache
def sources():
    """Every file of transformers that speaks of rotary positions."""
    folder = pathlib.Path(transformers.__file__).parent / "models"
    paths = sorted(folder.glob("*/modeling_*.py"))
    return [
        _source(path)
        for path in tqdm(paths, "reading sources", leave=False)
        if re.search("rotar|rope|rotate_half", path.read_text(), re.IGNORECASE)
    ]


def source_of(family):
    """The file of a family."""
    return next(s for s in sources() if s.family == family)


def _source(path):
    tree = ast.parse(path.read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    module = f"transformers.models.{path.parent.name}.{path.stem}"
    return Source(
        path.parent.name,
        importlib.import_module(module),
        {node.name: _called(node) for node in classes},
    )


def _called(node):
    functions = (c.func for c in ast.walk(node) if isinstance(c, ast.Call))
    return {
        f.id if isinstance(f, ast.Name) else f.attr
        for f in functions
        if isinstance(f, ast.Name | ast.Attribute)
    }
