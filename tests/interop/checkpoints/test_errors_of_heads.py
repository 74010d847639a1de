"""Heads, copies and projections that do not fit the table of the tokens."""

import numpy as np
import pytest
from zero_tensors import GPT2, fails, vit, zeros

from attnax import interop

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def test_copies_must_be_equal():
    tensors = zeros(
        ("shared.weight", (11, 6)), ("encoder.embed_tokens.weight", (11, 6))
    )
    message = (
        "'encoder.embed_tokens.weight' of shape (11, 6) and dtype float32 must equal "
        "'shared.weight' of shape (11, 6) and dtype float32, bit for bit."
    )
    for value in (1.0, -0.0):
        tensors["encoder.embed_tokens.weight"][10, 5] = value
        with fails(message):
            load(tensors, "t5")
    tensors |= zeros(("encoder.embed_tokens.weight", (11, 6)), dtype=np.float16)
    with fails(message.replace("float32", "float16", 1)):
        load(tensors, "t5")


@pytest.mark.parametrize(
    ("family", "tied"), (("gpt2", None), ("gpt2", True), ("decoder", True))
)
def test_tied_heads_must_be_equal(family, tied):
    names = GPT2 if family == "gpt2" else {"embed_tokens.weight": (11, 6)}
    tensors = zeros(**names) | {"lm_head.weight": np.ones((12, 6), np.float16)}
    message = (
        "'lm_head.weight' of shape (12, 6) and dtype float16 must equal the token "
        f"table '{next(iter(names))}' of shape (11, 6) and dtype float32, bit for bit, "
        "for a tied head; pass tied=False"
    )
    with fails(message):
        load(tensors, family, tied=tied)


def test_untied_heads_must_be_there():
    with fails("a head must be there for tied=False"):
        load(zeros(**GPT2), "gpt2", tied=False)
    with fails("'lm_head.weight' of shape (11, 7) must have shape (head_size, 6)."):
        load(zeros(**GPT2) | zeros(("lm_head.weight", (11, 7))), "gpt2")
    with fails("tied=True must be None for family='vit', which has no head"):
        load(vit(), "vit", tied=True)


def test_heads_must_be_clear():
    heads = zeros(("lm_head.weight", (11, 6)), ("embed_out.weight", (11, 6)))
    with fails("only one of ['lm_head.weight', 'embed_out.weight'] must be there"):
        load(zeros(("gpt_neox.embed_in.weight", (11, 6))) | heads, "gpt_neox")


def test_narrow_tables_need_a_projection():
    tensors = zeros(
        ("embed_tokens.weight", (11, 4)), ("embed_positions.weight", (9, 6))
    )
    message = (
        "'embed_tokens.weight' of shape (11, 4) must have shape (11, 6), without a "
        "project_in.weight."
    )
    with fails(message):
        load(tensors, "opt")
    message = "'project_in.weight' of shape (4, 6) must have shape (6, 4)."
    with fails(message):
        load(tensors | zeros(("project_in.weight", (4, 6))), "opt")
    both = zeros(("project_in.weight", (6, 4)), ("project_out.weight", (4, 6)))
    projected = load(tensors | both, "opt")
    for name, other in (("in", "out"), ("out", "in")):
        one = f"project_{name}.weight"
        message = f"'{one}' must come with a project_{other}.weight."
        with fails(f"params_from_checkpoint: {message}"):
            load(tensors | {one: both[one]}, "opt")
        with fails(f"checkpoint_from_params: {message}"):
            write(projected._replace(extra_tensors={one: both[one]}))
