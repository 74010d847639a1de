"""Compares attnax with every rotary embedding of the installed transformers.

    python -m conformance.rope                     # all, a minute
    python -m conformance.rope --only llama glm4v  # families, classes, configs
    python -m conformance.rope --json results.json # the lines of the table

Needs `pip install -e ".[conformance]"`. Ends with 1 if anything disagrees.
"""

import re
import sys

import torch
from tqdm import tqdm

from . import fractional, irregular, scaling
from .compare import DISAGREED, NOT_APPLICABLE, Result, judge
from .report import command
from .sources import sources
from .subjects import names_of, subjects
from .walk import observe


def tasks():
    """Yields `(names, function)` for each piece of work; the function yields lines."""
    found = list(subjects())
    for subject in found:
        yield names_of(subject), lambda subject=subject: observe(subject)
    for case in scaling.cases(found):
        yield names_of(case[0]), lambda case=case: scaling.observe(*case)
    yield {"scaling", "rope_from_hf"}, scaling.refused
    for case in (*irregular.CASES, *fractional.CASES):
        yield None, case


def run(only):
    """Yields the lines of the table, or those of the names in `only`."""
    chosen = [
        (names, function)
        for names, function in tasks()
        if not only or names is None or names & set(only)
    ]
    lines = []
    with tqdm(chosen, unit="case") as bar:
        for _, function in bar:
            torch.manual_seed(0)
            for line in map(judge, function()):
                bar.set_postfix_str(line.family)
                if not only or _words(line) & set(only):
                    lines.append(line)
    return lines if only else [*lines, *left_out(lines)]


def _words(line):
    return {line.family, line.name, *re.findall(r"\w+", line.config)}


def left_out(lines):
    """Yields lines for attentions with RoPE in their name, and for what is left."""
    names = {line.name for line in lines}
    for source in sources():
        makers = ", ".join(source.rotary_classes())
        for name in source.rope_attentions():
            if name not in names:
                note = f"an attention, which rotates by cos and sin of {makers}"
                yield Result(source.family, name, "", None, NOT_APPLICABLE, note)
        alone = any(map(source.rotates, source.calls)) and not source.rotary_classes()
        wanted = source.rotary_classes()
        if alone and source.family not in {line.family for line in lines}:
            wanted = [source.family]
        for name in wanted:
            if name not in names:
                yield Result(source.family, name, "", None, DISAGREED, "not walked")


def main():
    return command("python -m conformance.rope", __doc__, run)


if __name__ == "__main__":
    sys.exit(main())
