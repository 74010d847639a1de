"""The model types of transformers whose code, and that of parts, rotates nothing."""

import ast
import functools
import pathlib
import pkgutil
import re

import transformers

from attnax.interop._config.families.table import IN_TRANSFORMERS, REFUSED

# Names in the code of rotary positions, and in any code with sine and cosine.
_ROTARY = re.compile(r"rotar|(?<!p)rope(?!r)|rotate_half|freqs_cis", re.IGNORECASE)
_ANGLES = re.compile(r"inv_freq|polar$|^cos$|^sin$|^cosine$|^sine$", re.IGNORECASE)
# Folders whose sines and cosines are added or are relative, and one that has the width
# of a rotary part but does not rotate it. Each was read.
_READ = frozenset(
    """
    autoformer bros canary detr funnel kimi_linear nemotron_asr_streaming parakeet
    patchtst xlnet
    """.split()
)
# Wrappers, which run whatever model their config names.
_WRAPPERS = frozenset(("timm_backbone", "timm_wrapper", "rag"))


def without_rotary(classes, names):
    """The model types whose code rotates nothing, and neither does that of a part."""
    folders = {f for f in _folders() if _rotates_nothing(f)} - _WRAPPERS
    found = {}
    for _ in range(3):  # parts of parts
        for name, cls in classes.items():
            parts = {spec.config_class for spec in cls.sub_configs_defaults.values()}
            if _folder(cls) in folders and parts <= set(found.values()):
                found[name] = cls
    types = {names[name] for name, cls in found.items() if cls.model_type}
    return sorted(types - {*IN_TRANSFORMERS, *REFUSED})


def _folder(cls):
    return cls.__module__.split(".")[2]


def _folders():
    return [found.name for found in pkgutil.iter_modules(transformers.models.__path__)]


@functools.cache
def _rotates_nothing(folder):
    """Whether no class of a folder names a rotation, or a class that does."""
    paths = sorted(
        (pathlib.Path(transformers.models.__path__[0]) / folder).glob("modeling_*.py")
    )
    words, others = set(), set()
    for path in paths:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                words |= set(_words(node))
            if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                others |= {m[0] for m in [node.module.split(".")] if len(m) > 1}
    rotates = any(_ROTARY.search(w) for w in words if w != "qk_rope_head_dim")
    angles = any(_ANGLES.search(w) for w in words) or "qk_rope_head_dim" in words
    if not paths or rotates or (angles and folder not in _READ):
        return False
    return all(_rotates_nothing(other) for other in others - {folder, "auto"})


def _words(class_node):
    """Names and attributes in the body of a class, without its decorators."""
    for node in class_node.body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name | ast.Attribute):
                yield inner.id if isinstance(inner, ast.Name) else inner.attr
