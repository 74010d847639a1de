"""Safetensors files as the format's own code writes and reads them."""

import json
import random
import sys

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop
from attnax.interop._checkpoints.files.regular import RegularFile
from attnax.interop._checkpoints.files.safetensors import DTYPES, Safetensors, places

safetensors = pytest.importorskip("safetensors")
numpy_files = pytest.importorskip("safetensors.numpy")
KNOWN = {"F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "I16", "U16", "I8"}
KNOWN |= {"U8", "BOOL", "C64", "F8_E4M3", "F8_E5M2", "F8_E8M0"}
KNOWN |= {"F4", "F6_E2M3", "F6_E3M2"}


def tensors():
    return {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bb": np.linspace(-1, 1, 5).astype(np.float16),
        "c": np.arange(4).reshape(2, 2).astype(ml_dtypes.bfloat16),
        "d": np.ones((0, 4), np.int64),
        "e": np.array(3.5),
        "f": np.ones((3, 1), ml_dtypes.float8_e4m3fn),
    }


def header_and_size(content):
    """The bytes of the header, if there are as many as the file says."""
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    return header, len(content) if len(header) == length else -1


def test_tensors_are_those_that_were_written(tmp_path):
    path, written = tmp_path / "a.safetensors", tensors()
    numpy_files.save_file(written, path, metadata={"format": "np"})
    with RegularFile(path) as file:
        found = Safetensors(file)
        assert set(found.names) == set(written)
        for name, array in written.items():
            shape, dtype = found.describe(name)
            assert shape == array.shape
            if dtype in DTYPES.values():
                assert_same_bits(found.read(name), array)
                assert dtype == array.dtype.name


def mutated(content, rng):
    """A few bytes are others, mostly of the header; now and then the end is missing."""
    content, length = bytearray(content), int.from_bytes(content[:8], "little")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        likely = rng.choice(b'0123456789"{}[],: -.eaFBI\\u\x00\xff\n')
        where = rng.randrange(8 + length) if rng.random() < 0.7 else len(content) - 1
        content[where] = likely if rng.random() < 0.7 else rng.randrange(256)
    kept = rng.randrange(len(content)) if rng.random() < 0.05 else len(content)
    return bytes(content[:kept])


def known_dtypes(header):
    entries = json.loads(header)
    return all(e.get("dtype") in KNOWN for k, e in entries.items() if k[:2] != "__")


@pytest.mark.parametrize("count", (3000, pytest.param(200_000, marks=pytest.mark.slow)))
def test_broken_files_are_those_that_the_format_s_own_code_refuses(count):
    rng, base = random.Random(0), numpy_files.save(tensors(), metadata={"k": "v"})
    accepted = 0
    for _ in range(count):
        content = mutated(base, rng)
        header, size = header_and_size(content)
        try:
            theirs = dict(safetensors.deserialize(content))
        except Exception:
            theirs = None
        try:
            ours = places(header, size)
        except ValueError as error:
            # Of two tensors of one name, the last wins there.
            assert theirs is None or str(error).endswith("twice")
            continue
        if theirs is None:
            assert not known_dtypes(header)  # may become known, and is not read
            continue
        accepted += 1
        assert ours.keys() == theirs.keys()
        for name, place in ours.items():
            assert list(place.shape) == theirs[name]["shape"]
            assert content[place.start : place.stop] == bytes(theirs[name]["data"])
    assert accepted > count / 100  # of those that change nothing but data or names


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.errors
@pytest.mark.parametrize(
    ("header", "why"),
    (
        (b"{}", "it must have 10 bytes, and has 14"),
        (b"[1]", "it holds a list in place of an object"),
        (b"\xff", "'utf-8' codec can't decode"),
        (b'{"a": NaN}', "NaN is not a number in JSON"),
        (b'{"a": 1', "Expecting"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b'{"a": {"shape": 1' + b"0" * 5000 + b"}}", "Exceeds the limit"),
        (b'{"\\ud800": 1}', r"the key '\ud800' is not valid Unicode"),
        (b'{"__metadata__": {"a": 1}}', "its __metadata__ must map names to strings"),
        (b'{"a": 3}', "'a' must have a dtype, a shape and two data_offsets"),
        (b'{"a": {"dtype": "F32"}}', "'a' must have a dtype, a shape and two"),
        (b'{"a": 1, "a": 2}', "it has the key 'a' twice"),
        (ENTRY | {"shape": [-1]}, "'a' must have sizes and offsets from 0 on"),
        (ENTRY | {"shape": [True]}, "'a' must have sizes and offsets from 0 on"),
        (ENTRY | {"shape": [1.0]}, "'a' must have sizes and offsets from 0 on"),
        (ENTRY | {"dtype": 32}, "'a' must have sizes and offsets from 0 on"),
        (ENTRY | {"shape": [2]}, "must have 64 bits, and has 32"),
        (ENTRY | {"shape": [10**30]}, "must have 32" + "0" * 30 + " bits, and has 32"),
        (ENTRY | {"data_offsets": [4, 8]}, "'a' must start at byte 0 of the data"),
        (ENTRY | {"data_offsets": [4, 0]}, "'a' must have sizes and offsets from 0"),
    ),
    ids=range(21),
)
def test_headers_that_lie_are_refused_by_what_is_wrong(tmp_path, header, why):
    if isinstance(header, dict):
        header = json.dumps({"a": header}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ValueError) as caught:
        interop.params_from_checkpoint(path, "decoder")
    start = f"params_from_checkpoint: '{path}' must be a whole safetensors file: "
    assert str(caught.value).startswith(start)
    assert why in str(caught.value)


@pytest.mark.errors
@pytest.mark.parametrize("length", (5, 2**40, 2**64 - 1))
def test_headers_must_fit(tmp_path, length):
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    message = f"its header of {length} bytes does not fit"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "decoder")


def test_reading_needs_no_other_package(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    numpy_files.save_file({"embed_tokens.weight": table}, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    params = interop.params_from_checkpoint(path, "decoder").params
    assert_same_bits(params.weight, table)


def test_a_file_of_no_tensors_is_whole(tmp_path):
    path = tmp_path / "a.safetensors"
    numpy_files.save_file({}, path)
    with RegularFile(path) as file:
        assert Safetensors(file).names == ()
    # Writers pad the header with spaces; without, it ends where the file does.
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    with RegularFile(path) as file:
        assert Safetensors(file).names == ()


@pytest.mark.errors
def test_a_shape_is_a_list(tmp_path):
    entry = {"dtype": "F32", "shape": {}, "data_offsets": [0, 4]}
    header = json.dumps({"a": entry}).encode()
    with pytest.raises(ValueError, match="'a' must have sizes and offsets from 0 on"):
        places(header, 8 + len(header) + 4)
