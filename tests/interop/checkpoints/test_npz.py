"""`.npz` files: unpacked once, and refused where a name or an array is not whole."""

import io
import zipfile

import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop

NAMES = ("embedding/kernel", "embedding/bias", "pos_embedding")


def tensors(order="C"):
    rng = np.random.default_rng(0)
    shapes = (5, 2, 3, 6), (6,), (1, 4, 6)
    draw = lambda shape: np.asarray(rng.normal(size=shape).astype("f4"), order=order)
    return dict(zip(NAMES, map(draw, shapes), strict=True))


def member(array, version=None):
    """The bytes of an array as `numpy.save` writes them."""
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version)
    return content.getvalue()


def write(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def load(path, family="big_vision", **options):
    return interop.params_from_checkpoint(path, family, **options)


@pytest.mark.parametrize("save", (np.savez, np.savez_compressed))
@pytest.mark.parametrize("order", "CF")
def test_arrays_are_those_that_were_saved(tmp_path, save, order):
    path, arrays = tmp_path / "a.npz", tensors(order)
    save(path, **arrays)
    written = interop.checkpoint_from_params(load(path))
    assert written.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same_bits(written[name], array)


@pytest.mark.parametrize("order", "CF")
def test_copies_are_compared_to_the_end(tmp_path, monkeypatch, order):
    monkeypatch.setattr("attnax.interop._checkpoints.arrays.CHUNK_BYTES", 100)
    table = np.asarray(np.arange(66, dtype="f4").reshape(11, 6), order=order)
    path = tmp_path / "a.npz"
    np.savez(path, **{"shared.weight": table, "encoder.embed_tokens.weight": table})
    assert_same_bits(load(path, "t5").params.weight, table)
    for row in (0, 5, 10):
        other = table.copy()
        other[row, 3] = -1.0
        np.savez(path, **{"shared.weight": table, "encoder.embed_tokens.weight": other})
        with pytest.raises(ValueError, match="must equal 'shared"):
            load(path, "t5")


def test_the_second_version_of_the_header_is_read(tmp_path):
    table = np.arange(6, dtype="f4").reshape(3, 2)
    path = write(tmp_path / "a.npz", ("wte.weight.npy", member(table, (2, 0))))
    assert_same_bits(load(path, "gptj").params.weight, table)


def test_each_array_is_unpacked_once(tmp_path, monkeypatch):
    # Beside its header, for which a block of a few KiB is unpacked.
    path = tmp_path / "a.npz"
    table = np.random.default_rng(0).normal(size=(4000, 32)).astype("f4")
    head = table + 1.0
    other = {"h.0.weight": table}
    np.savez_compressed(path, **{"wte.weight": table, "lm_head.weight": head}, **other)
    unpacked, update = [0], zipfile.ZipExtFile._update_crc

    def counted(self, data):
        unpacked[0] += len(data)
        return update(self, data)

    monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", counted)
    loaded = load(path, "gptj", tied=False)
    assert_same_bits(loaded.head.weight, head)
    assert 2 * table.nbytes < unpacked[0] < 2 * table.nbytes + 2**16


@pytest.mark.errors
@pytest.mark.parametrize("second", ("wte.weight.npy", "wte.weight"))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_name_may_stand_twice(tmp_path, second):
    content = member(np.ones((3, 2), "f4"))
    path = write(tmp_path / "a.npz", ("wte.weight.npy", content), (second, content))
    message = "must be a whole .npz file: it has 'wte.weight' twice"
    with pytest.raises(ValueError, match=message):
        load(path, "gptj")


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"


def with_header(descr, shape, size):
    text = (HEADER % (descr, shape)).encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(size)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("content", "why"),
    (
        (with_header("<f4", "(3, 2)", 23), "24 bytes must follow its header"),
        (with_header("<f4", "(3, 2)", 25), "24 bytes must follow its header"),
        (with_header("<f4", "(10**9, 2)", 24), "malformed node"),
        (with_header("<f4", f"({10**12}, 2)", 24), "8000000000000 bytes must follow"),
        (with_header("|O", "(3, 2)", 48), "it holds Python objects"),
        (with_header("<f4", "(" * 9000, 24), "cannot be read: "),
        (with_header("nothing", "(3, 2)", 24), "cannot be read: "),
        (b"\x93NUMPY\3\0" + bytes(40), r"version \(3, 0\) of its header is not known"),
        (b"\x93NUMPY\1\0", "cannot be read: "),
        (b"no array", "cannot be read: "),
        (b"", "cannot be read: "),
    ),
    ids=range(11),
)
def test_members_must_be_whole_arrays(tmp_path, content, why):
    path = write(tmp_path / "a.npz", ("wte.weight.npy", content))
    start = f"^params_from_checkpoint: 'wte.weight' of '{path}' must be an array, but"
    with pytest.raises(ValueError, match=start) as caught:
        load(path, "gptj")
    caught.match(why)


@pytest.mark.errors
def test_foreign_dtypes_are_named(tmp_path):
    path = tmp_path / "a.npz"
    for dtype, name in ((">f4", ">f4"), ("i4", "int32"), ("V2", "void16")):
        np.savez(path, **{"wte.weight": np.zeros((3, 2), dtype)})
        with pytest.raises(ValueError, match=f"'wte.weight' of dtype {name} must be"):
            load(path, "gptj")
