"""Names of errors: `@public` gives them, and no inner function passes them on."""

import ast
import inspect
import pathlib

import pytest
from public_calls import CALLS, SURFACE

ROOT = pathlib.Path(__file__).parent.parent / "attnax"
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")

# Where the first argument is the name of what is looked up or described: a tensor of a
# file, a family, a model type.
NAMES_OF_DATA = (
    "interop/_model_types.py",
    "interop/_checkpoint_families/",
    "interop/_checkpoints/arrays.py",
    "interop/_checkpoints/files/",
)
# The checks call an argument `name`, and the decorator has a function and its name.
CHECKS = "_checks/", "_dtypes.py", "_public.py"


def first_arguments(path):
    """`(function, name of its first argument)`, `self` and `cls` aside."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            own = names[1:] if names[:1] in (["self"], ["cls"]) else names
            if own:
                yield node.name, own[0]


def test_no_function_takes_the_name_of_its_caller():
    for path in FILES:
        file = str(path.relative_to(ROOT))
        if not file.startswith((*CHECKS, *NAMES_OF_DATA)):
            for function, first in first_arguments(path):
                assert first not in ("function", "name", "caller"), (file, function)


def marked():
    """`(module, qualified name)` of every function that carries `@public`."""

    def walk(node, module, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from walk(child, module, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                names = {d.id for d in child.decorator_list if isinstance(d, ast.Name)}
                if "public" in names:
                    yield module, prefix + child.name

    for path in FILES:
        parts = ("attnax", *path.relative_to(ROOT).with_suffix("").parts)
        yield from walk(ast.parse(path.read_text()), ".".join(parts), "")


MARKED = set(marked())


@pytest.mark.parametrize("name", CALLS)
def test_every_public_callable_is_marked(name):
    room, *parts = name.split(".")
    thing = SURFACE[room]
    for part in parts:
        thing = getattr(thing, part)
    if hasattr(thing, "_fields"):
        return  # a named tuple checks nothing
    makers = ("", ".__init__", ".__post_init__") if inspect.isclass(thing) else ("",)
    names = {(thing.__module__, thing.__qualname__ + maker) for maker in makers}
    assert names & MARKED
