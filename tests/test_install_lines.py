"""No text tells to install attnax by name: the index has another library of that name.

`pip install .` from a checkout is right, and so are the extras of pyproject.toml that
name each other.
"""

import ast
import os
import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
KINDS = {".md", ".py", ".toml", ".json", ".txt", ".cfg", ".yml", ".yaml"}
SHOWN = {".ci", ".github"}  # of all that starts with a dot
NAME = "attnax"

_TOOLS = r"(?:pip3?|pipx|uv|uvx|conda|mamba|micromamba|poetry|pdm|pixi|rye|hatch|tox)"
_VERBS = r"(?:install|add|download|wheel|inject|run|tool|sync|require)"
# A requirement starts a word, with or without quotes, and is no address or file:
# `attnax @ git+https://...` and `dist/attnax-1.0.whl` say where it comes from.
_BY_NAME = (
    rf"""(?<![\w./\\-])["']?{NAME}(?:\[[\w,\s-]*\])?(?=\s*(?:[=<>~!]=?|$|["'\s;,)]))"""
)
_COMMAND = re.compile(
    rf"\b{_TOOLS}\s(?:[^\n;&|]*\s)?{_VERBS}\b[^\n;&|]*?\s{_BY_NAME}(?!\s*@)"
    rf"|\buvx\s+(?:-\S+\s+)*{_BY_NAME}(?!\s*@)"
)
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_EXTRAS = "|".join(_PROJECT["optional-dependencies"])
_EXTRA = re.compile(rf"(?<![\w.]){NAME}\[(?:{_EXTRAS})\b[\w,\s-]*\](?!\s*@)")


def texts_of(path):
    """Yields what a reader sees at a time: lines, code in prose, strings."""
    text = path.read_text()
    yield from re.sub(r"\\\n", " ", text).splitlines()
    if path.suffix == ".md":
        yield from (" ".join(s.split()) for s in re.findall(r"`([^`]+)`", text))
    if path.suffix == ".py":
        strings = (
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        yield from (" ".join(string.split()) for string in strings)


def installs_by_name(text, *, extras=True):
    """The part of a text that would fetch the other library, or `None`."""
    found = _COMMAND.search(text) or (_EXTRA.search(text) if extras else None)
    return found and found.group()


def tracked():
    """The files of the project that are text, without environments beside it."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name[0] != "." or name in SHOWN]
        for path in (pathlib.Path(folder, name) for name in files):
            if path.suffix in KINDS or path.parent.name == ".ci":
                yield path


def test_no_text_installs_by_name():
    paths = sorted(tracked())
    names = {path.relative_to(ROOT).as_posix() for path in paths}
    assert names >= {
        "README.md",
        ".ci/run",
        "docs/interop/checkpoints.md",
        "pyproject.toml",
    }
    assert "attnax/interop/_checkpoints/arrays.py" in names
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in paths
        for text in texts_of(path)
        if (line := installs_by_name(text, extras=path.name != "pyproject.toml"))
    ]
    assert not found


def test_the_readme_warns():
    assert "**Do not install by name:**" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "line",
    (
        "pip install {}",
        'pip install "{}[interop]"',
        "Files need `pip install '{}[interop]'`, which brings safetensors.",
        "$ .venv/bin/pip install -q -U {}",
        "python -m pip install {}==0.1",
        "pip install jax {}>=0.1 numpy",
        "uv add {}",
        "uv pip install '{}'",
        "uv run --with {} python",
        "uvx {}",
        "conda install -c conda-forge {}",
        "poetry add {}",
        "install {}[interop] first",
    ),
)
def test_lines_that_install_by_name_are_found(line):
    assert installs_by_name(line.format(NAME))


@pytest.mark.parametrize(
    "line",
    (
        "pip install .",
        'pip install -e ".[dev]"',
        "pip install safetensors; attnax reads it",
        "pip install -e . && python -c 'import attnax'",
        "pip install dist/attnax-0.1-py3-none-any.whl",
        'pip install "attnax @ git+https://example.org/attnax"',
        "pip install /home/me/attnax",
        "row.attnax['ratio'] and attnax[name]",
    ),
)
def test_other_lines_are_not(line):
    assert not installs_by_name(line)
