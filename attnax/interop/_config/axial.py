"""Ropes of two axes, by rules from the width of a head and the base."""

from functools import partial

from ... import functional as F


def halves(**settings):
    """A rule that gives half of the width to each of two axes."""
    return partial(_halves, **settings)


def _halves(context, width, base, **settings):
    return F.axial_rope((width // 2, width - width // 2), base, **settings)
