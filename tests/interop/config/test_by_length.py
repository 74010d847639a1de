"""The ropes of a config for rows of several lengths."""

import numpy as np
import pytest
from rope_configs import LONGROPE, scaled

import attnax.functional as F
from attnax.interop import rope_from_hf, ropes_by_length_from_hf

PHI3 = scaled("longrope", **LONGROPE, factor=32.0)
DYNAMIC = scaled("dynamic", factor=2.0)


def test_both_lists_of_longrope():
    by_length = ropes_by_length_from_hf(PHI3)
    assert by_length.max_lengths == (4096, 2**31 - 1)
    assert by_length.ropes == tuple(rope_from_hf(PHI3, seq_len=n) for n in (4096, 4097))


def test_one_length_that_is_known():
    """Every row then has the rope of the final length, and cached keys stay valid."""
    fixed = ropes_by_length_from_hf(PHI3, max_lengths=(8192,))
    assert fixed.ropes == (rope_from_hf(PHI3, seq_len=8192),)
    with pytest.raises(ValueError, match=r"lengths\[1\]=8193 must lie in \[0, 8193\)"):
        F.rope_by_length(fixed, [3, 8193])


def test_dynamic_frequencies_are_exact_for_every_length_of_a_list():
    lengths = 2048, 3000, 100_000
    by_length = ropes_by_length_from_hf(DYNAMIC, max_lengths=lengths)
    assert by_length.max_lengths == lengths
    assert by_length.ropes == tuple(rope_from_hf(DYNAMIC, seq_len=n) for n in lengths)
    chosen = F.rope_by_length(by_length, np.array(lengths))
    for words, rope in zip(np.asarray(chosen.words), by_length.ropes, strict=True):
        np.testing.assert_array_equal(words, rope._words)


def test_methods_without_a_length_have_one_rope_for_all():
    for config in (scaled("default"), scaled("linear", factor=2)):
        by_length = ropes_by_length_from_hf(config)
        assert by_length == F.RopesByLength([rope_from_hf(config)], (2**31 - 1,))


def test_parts_layers_and_layouts_are_passed_on():
    by_length = ropes_by_length_from_hf(PHI3, layout="interleaved")
    assert by_length.ropes[0].layout == "interleaved"
    no_rope = {
        "model_type": "cohere2",
        "head_dim": 8,
        "num_hidden_layers": 4,
        "sliding_window_pattern": 4,
    }
    layers = {"layer_type": "full_attention"}
    assert rope_from_hf(no_rope, **layers) is None
    assert ropes_by_length_from_hf(no_rope, **layers) is None
    assert ropes_by_length_from_hf(no_rope, layer_type="sliding_attention").ropes


@pytest.mark.errors
@pytest.mark.parametrize(
    "config, arguments, message",
    (
        (
            DYNAMIC,
            {},
            "depend on the length: pass seq_len, .* to ropes_by_length_from_hf",
        ),
        (
            PHI3,
            {"max_lengths": (0, 5)},
            r"max_lengths=\(0, 5\) must be one length or mo",
        ),
        (
            PHI3,
            {"max_lengths": (5, 5)},
            r"max_lengths=\(5, 5\) must be one length or mo",
        ),
        (PHI3, {"max_lengths": ()}, r"max_lengths=\(\) must be one length or more"),
        (PHI3, {"layer_type": "none"}, "layer_type='none' must be one of"),
    ),
)
def test_what_is_refused(config, arguments, message):
    with pytest.raises(ValueError, match=f"^ropes_by_length_from_hf: .*{message}"):
        ropes_by_length_from_hf(config, **arguments)
