"""Data flows one way: a file imports from its own room and from rooms below it."""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parent.parent / "attnax"
# From the bottom up; rooms of one line do not import each other.
FLOORS = (
    ("_public", "_dtypes", "_words"),
    ("_checks", "_sharding"),
    ("_vocab_axis",),
    (
        *("functional._angles", "functional._ngrams", "functional._positions"),
        *("functional._resizing", "functional._tables"),
    ),
    (
        *("functional._heads", "functional._patches", "functional._rope"),
        *("functional._rows", "functional._sinusoids"),
        *("functional._fused", "functional._vocabulary"),
    ),
    ("functional._biases", "functional._models"),
    ("functional",),
    ("interop._model_types",),
    ("interop._config", "interop._checkpoint_families"),
    ("interop._options", "interop._position_biases"),
    ("interop._checkpoints",),
    ("interop",),
    ("nn",),
)
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def room_of(module):
    """The room that a module is in, such as `functional._rope`; `None` for the top."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in ROOMS), None)


def imported(path):
    """The modules of the package that a file imports, by their names inside it."""
    package = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            module = [*above[1:], *(node.module or "").split(".")]
            module = ".".join(part for part in module if part)
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def test_the_walk_sees_imports_of_every_kind():
    rope = set(imported(PACKAGE / "nn" / "_rope.py"))
    assert "functional" in rope  # from .. import functional as F
    assert any(module.startswith("functional._rope.") for module in rope)
    assert room_of("functional._rope.record.Rope") == "functional._rope"
    assert room_of("_checks.integer") == "_checks"


def test_imports_run_down():
    """A new room gets its place in `FLOORS`, and in CONTRIBUTING."""
    wrong = []
    for path in FILES:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        own = room_of(module.removesuffix(".__init__"))
        for name in imported(path):
            other = room_of(name)
            down = own and other and (other == own or ROOMS[other] < ROOMS[own])
            wrong += [] if down else [f"{module} imports {name}"]
    assert not wrong
