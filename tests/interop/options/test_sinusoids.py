import inspect
import math
import pathlib
import re

import numpy as np
import pytest

import attnax.functional as F
from attnax.interop import grid_sinusoid_options, sinusoid_options
from attnax.interop._options import grid_sinusoids as of_grids
from attnax.interop._options import sinusoids as of_positions
from conformance.embeddings import records, sinusoids

SINUSOIDS = of_positions.SINUSOIDS.by_name
GRID_SINUSOIDS = of_grids.GRID_SINUSOIDS.by_name
GOLDEN = records.load("sinusoids")
PAGE = pathlib.Path(__file__).parents[3] / "docs/sinusoids/sinusoids.md"
FUNCTIONS = (
    (sinusoid_options, SINUSOIDS, F.sinusoids),
    (grid_sinusoid_options, GRID_SINUSOIDS, F.grid_sinusoids),
)


# As many positions as the longest record has, by the shape of one: each length is
# another program, and no row depends on the others.
LENGTHS = {(): 41, (2,): 28, (3,): 90}


def lengthened(record):
    """The record with its positions in one line and zeros after them, and how many."""
    positions = record.arrays.get("positions")
    if positions is None:
        return record, 0
    if record.options["function"] == "sinusoids":
        positions = positions.ravel()
    added = LENGTHS[positions.shape[1:]] - len(positions)
    zeros = np.zeros((added, *positions.shape[1:]), positions.dtype)
    arrays = {**record.arrays, "positions": np.concatenate([positions, zeros])}
    return record._replace(arrays=arrays), added


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: record.name)
def test_golden_values_of_the_families_own_code(record):
    expected = record.arrays["expected"]
    longer, added = lengthened(record)
    actual = np.asarray(sinusoids.ours(longer))
    assert actual.dtype == np.float32
    if "positions" in record.arrays:
        expected = expected.reshape(-1, expected.shape[-1])
    assert actual.shape == (len(expected) + added, *expected.shape[1:])
    np.testing.assert_allclose(
        actual[: len(expected)], expected, rtol=0, atol=sinusoids.tolerance(record)
    )


def test_golden_values_cover_the_families_that_can_be_installed():
    recorded = {record.options.get("family") for record in GOLDEN}
    written = {"axlearn", "fairseq", "maxtext", "paper", "tensor2tensor"}
    written |= {"seamless_m4t"}  # as `m2m_100`, with a padding row of its own
    written |= {"x_transformers", "big_vision", "mae", "moco_v3"}
    assert recorded - {None} == {*SINUSOIDS, *GRID_SINUSOIDS} - written


def test_golden_values_of_grids_are_of_six_sizes_none_of_them_square():
    sizes = {}
    for record in GOLDEN:
        if record.options["function"] == "grid_sinusoids":
            last = record.arrays["positions"][-1] + 1
            sizes.setdefault(record.options["family"], set()).add(tuple(last.tolist()))
    # Its own code makes none but square grids, of the function under "rt_detr".
    assert sizes.pop("vit_mae") == {(5, 5)}
    for of_family in sizes.values():
        oblong = {s for s in of_family if s[-2] != s[-1]}
        assert len(oblong) >= 6
        assert any(s[-2:] == (1, 2) for s in oblong)


@pytest.mark.parametrize("options_of, families, function", FUNCTIONS)
def test_every_family_is_on_the_page(options_of, families, function):
    section = PAGE.read_text().partition(f"`{options_of.__name__}(family")[2]
    section = section.partition("\n## ")[0]
    named = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in _rows(section)]
    assert sorted(name for names in named for name in names) == sorted(families)


def _rows(section):
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


@pytest.mark.parametrize("options_of, families, function", FUNCTIONS)
def test_options_are_those_of_the_function_and_new_each_time(
    options_of, families, function
):
    known = inspect.signature(function).parameters
    needed = {"grid_size": (3, 5)} if families is GRID_SINUSOIDS else {}
    for family in families:
        settings = needed if family == "diffusers" else {}
        options = options_of(family, **settings)
        assert set(options) <= set(known)
        assert options_of(family, **settings) is not options


@pytest.mark.parametrize(
    "options_of, family, settings, expected",
    (
        (sinusoid_options, "tensor2tensor", {"max_timescale": 50}, {"base": 50.0}),
        (sinusoid_options, "whisper", {"max_timescale": 50}, {"base": 50.0}),
        (sinusoid_options, "axlearn", {"max_timescale": 50}, {"base": 50.0}),
        (sinusoid_options, "maxtext", {"max_wavelength": 50}, {"base": 50.0}),
        (sinusoid_options, "x_transformers", {"theta": 50}, {"base": 50.0}),
        (sinusoid_options, "fairseq", {"padding_idx": 7}, {"padding_position": 7}),
        (
            sinusoid_options,
            "m2m_100",
            {"padding_idx": None},
            {"padding_position": None},
        ),
        (grid_sinusoid_options, "rt_detr", {"temperature": 20}, {"base": 20.0}),
        (grid_sinusoid_options, "moco_v3", {"temperature": 20}, {"base": 20.0}),
        (grid_sinusoid_options, "big_vision", {"temperature": 20}, {"base": 20.0}),
        (grid_sinusoid_options, "timm", {"temperature": 20}, {"base": 20.0}),
        (
            grid_sinusoid_options,
            "diffusers",
            {"grid_size": (3, 5), "extra_tokens": 2},  # ignored without a class token
            {"num_prefix_tokens": 0},
        ),
    ),
)
def test_settings_that_no_record_holds(options_of, family, settings, expected):
    assert expected.items() <= options_of(family, **settings).items()


def test_a_square_grid_of_diffusers_may_be_one_number():
    square = grid_sinusoid_options("diffusers", grid_size=7)
    assert square == grid_sinusoid_options("diffusers", grid_size=(7, 7))


@pytest.mark.parametrize(
    "family, other",
    (
        ("paper", "roformer"),
        ("roformer", "x_transformers"),
        ("tensor2tensor", "maxtext"),
        ("tensor2tensor", "musicgen"),
        ("fairseq", "kimi_k25"),
        ("mlx", "whisper"),
    ),
)
def test_families_that_look_alike_differ(family, other):
    assert sinusoid_options(family) != sinusoid_options(other)


@pytest.mark.errors
@pytest.mark.parametrize("options_of, families, function", FUNCTIONS)
def test_unknown_names_are_refused(options_of, families, function):
    name = options_of.__name__
    with pytest.raises(ValueError) as info:
        options_of("bert")
    assert f"{name}: family='bert' must be one of {sorted(families)}, or" in str(
        info.value
    )
    message = f"{name}: flip=True must be a setting of family='diffusers': .*scale"
    with pytest.raises(ValueError, match=message):
        options_of("diffusers", flip=True)


@pytest.mark.errors
def test_missing_settings_are_refused():
    message = "grid_sinusoid_options: grid_size must be given for family='diffusers'"
    with pytest.raises(ValueError, match=message):
        grid_sinusoid_options("diffusers")


PERIODS = (
    (sinusoid_options, "tensor2tensor", "max_timescale"),
    (sinusoid_options, "whisper", "max_timescale"),
    (sinusoid_options, "maxtext", "max_wavelength"),
    (sinusoid_options, "x_transformers", "theta"),
    (sinusoid_options, "diffusers", "max_period"),
    (grid_sinusoid_options, "rt_detr", "temperature"),
    (grid_sinusoid_options, "moco_v3", "temperature"),
    (grid_sinusoid_options, "big_vision", "temperature"),
    (grid_sinusoid_options, "timm", "temperature"),
)


@pytest.mark.errors
@pytest.mark.parametrize("value", (0, 0.5, -3.0, math.inf, math.nan))
@pytest.mark.parametrize("options_of, family, name", PERIODS)
def test_periods_are_checked_under_their_own_name(options_of, family, name, value):
    message = (
        f"{options_of.__name__}: {name}={value} must be a finite number of at least 1"
    )
    with pytest.raises(ValueError, match=message):
        options_of(family, **{name: value})


@pytest.mark.errors
@pytest.mark.parametrize(
    "family, settings, message",
    (
        (
            "fairseq",
            {"padding_idx": 1.0},
            r"padding_idx=1.0 must be an integer",
        ),
        (
            "m2m_100",
            {"padding_idx": 2**31},
            "padding_idx=2147483648 must be an integer",
        ),
        ("fairseq", {"padding_idx": -(2**31) - 1}, "padding_idx=-2147483649 must be"),
        ("diffusers", {"scale": 0}, "scale=0 must be finite and positive"),
        ("diffusers", {"downscale_freq_shift": math.inf}, "downscale_freq_shift=inf"),
        ("mlx", {"min_freq": 0.0}, "min_freq=0.0 must be finite and positive"),
        ("mlx", {"max_freq": math.inf}, "max_freq=inf must be finite and positive"),
        ("mlx", {"min_freq": 2.0}, "min_freq=2.0 must be at most max_freq=1.0"),
        (
            "mlx",
            {"min_freq": 1e-300, "max_freq": 1e300},
            r"min_freq=1e-300 must be .* max_freq=1e\+300, and their quotient finite",
        ),
        ("mlx", {"scale": math.nan}, "scale=nan must be a finite number"),
    ),
)
def test_settings_are_checked(family, settings, message):
    with pytest.raises(ValueError, match=f"^sinusoid_options: {message}"):
        sinusoid_options(family, **settings)


@pytest.mark.errors
@pytest.mark.parametrize(
    "family, settings, message",
    (
        ("diffusers", {"grid_size": 0}, "grid_size=0 must be a positive integer"),
        (
            "diffusers",
            {"grid_size": (-3, 5)},
            r"grid_size=\(-3, 5\) must be \(rows, columns\), of positive integers",
        ),
        ("diffusers", {"grid_size": (3, 0)}, r"grid_size=\(3, 0\) must be \("),
        (
            "diffusers",
            {"grid_size": (3, 5, 7)},
            r"grid_size=\(3, 5, 7\) must be \(rows",
        ),
        ("diffusers", {"grid_size": (3,)}, r"grid_size=\(3,\) must be \("),
        ("diffusers", {"grid_size": (3.0, 5)}, r"grid_size=\(3.0, 5\) must be \("),
        (
            "diffusers",
            {"grid_size": 3, "base_size": 0},
            "base_size=0 must be",
        ),
        (
            "diffusers",
            {"grid_size": 3, "interpolation_scale": -1.0},
            "interpolation_scale=-1.0 must be finite and positive",
        ),
        (
            "diffusers",
            {"grid_size": 3, "extra_tokens": -1},
            "extra_tokens=-1 must be an integer of at least 0",
        ),
        (
            "cogvideox",
            {"spatial_interpolation_scale": 0},
            "spatial_interpolation_scale=0 must be finite and positive",
        ),
        (
            "cogvideox",
            {"temporal_interpolation_scale": math.inf},
            "temporal_interpolation_scale=inf must be finite and positive",
        ),
    ),
)
def test_settings_of_grids_are_checked(family, settings, message):
    with pytest.raises(ValueError, match=f"^grid_sinusoid_options: {message}"):
        grid_sinusoid_options(family, **settings)
