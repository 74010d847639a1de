"""The scaling methods, with parameters that are no defaults."""

import copy

from attnax.interop import rope_from_hf

from . import configs, scaled, scaled_families, walk
from .compare import AGREED, DISAGREED, Result


def cases(subjects):
    """Yields `(subject, what is special, raw config, length)` for every case."""
    names = configs.type_names()
    by_type = {names.get(s.config_class.__name__): s for s in subjects}
    listed = {"llama": scaled.of_llama(), **scaled_families.SINGLE}
    for model_type, named in listed.items():
        for name, raw in named:
            for length in scaled.BOTH if by_length(raw) else (scaled.SHORT,):
                yield by_type[model_type], name, raw, length


def by_length(raw):
    """Whether the frequencies depend on the length."""
    return any(name in str(raw) for name in ("'dynamic'", "short_factor"))


def observe(subject, name, raw, length, line=walk.TEXT):
    """Yields what one case does, with the last of `line` at the end of the length."""
    config = subject.config_class.from_dict(copy.deepcopy(raw))
    label = f"{subject.config_class.__name__}, {name}, {length} tokens"
    return walk.observe(subject, config, raw, label, (*line[:-1], length - 1))


def refused():
    """Yields a line for each configuration that must raise a `ValueError`."""
    for reason, raw in scaled_families.REFUSED:
        try:
            status, note = DISAGREED, f"{rope_from_hf(raw, seq_len=1)}"
        except ValueError as error:
            status, note = AGREED, str(error)
        model_type = raw["model_type"]
        yield Result(model_type, "rope_from_hf", reason, None, status, note)
