"""Files that are no files, and files that change while they are read."""

import os
import socket
import stat

import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop
from attnax.interop._checkpoints.files.open import open_source
from attnax.interop._checkpoints.files.safetensors import Safetensors

save_file = pytest.importorskip("safetensors.numpy").save_file
pytestmark = pytest.mark.errors
NAME, HEAD = "embed_tokens.weight", "lm_head.weight"
KINDS = (".safetensors", ".npz", ".json")


def tensors(value):
    """A table, and a head that is read after it."""
    return {NAME: np.full((4, 3), value, np.float32), HEAD: np.full((4, 3), -value)}


def saved(path, value):
    arrays = {name: array.astype(np.float32) for name, array in tensors(value).items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    os.utime(path, (value, value))  # the clock of the files may stand still meanwhile


def during(monkeypatch, action):
    """Does something once, after the first tensor has been read."""
    source = "attnax.interop._checkpoints.text.to_jax"
    from attnax.interop._checkpoints import text

    made, done = text.to_jax, []

    def to_jax(*args):
        if not done:
            done.append(action())
        return made(*args)

    monkeypatch.setattr(source, to_jax)


@pytest.mark.parametrize("suffix", KINDS[:2])
def test_a_file_that_is_replaced_is_read_to_its_end(tmp_path, monkeypatch, suffix):
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    saved(path, 1)
    saved(other, 2)
    during(monkeypatch, lambda: other.replace(path))
    loaded = interop.params_from_checkpoint(path, "decoder")
    assert_same_bits(loaded.params.weight, np.full((4, 3), 1, np.float32))
    assert_same_bits(loaded.head.weight, np.full((4, 3), -1, np.float32))
    loaded = interop.params_from_checkpoint(path, "decoder")
    assert_same_bits(loaded.head.weight, np.full((4, 3), -2, np.float32))


@pytest.mark.parametrize("suffix", KINDS[:2])
def test_a_file_that_is_written_to_is_refused(tmp_path, monkeypatch, suffix):
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    saved(path, 1)
    saved(other, 2)
    during(monkeypatch, lambda: path.write_bytes(other.read_bytes()))
    message = f"^params_from_checkpoint: '{path}' changed while it was read; read it"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "decoder", tied=False)


def test_a_file_that_is_cut_off_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    saved(path, 1)
    during(monkeypatch, lambda: os.truncate(path, path.stat().st_size - 50))
    message = f"^params_from_checkpoint: '{path}' became shorter while it was read"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "decoder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize("suffix", KINDS)
def test_only_regular_files_are_opened(tmp_path, suffix):
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=f"'{pipe}' is a pipe, but must be a regular"):
        interop.params_from_checkpoint(pipe, "decoder")
    zero = tmp_path / f"zero{suffix}"
    zero.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=f"'{zero}' is a device, but must be a regu"):
        interop.params_from_checkpoint(zero, "decoder")
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may be no longer than 100 bytes.
        monkey = pytest.MonkeyPatch()
        monkey.chdir(tmp_path)
        server.bind(f"s{suffix}")
        monkey.undo()
        with pytest.raises(ValueError, match="must be a file that can be opened: "):
            interop.params_from_checkpoint(tmp_path / f"s{suffix}", "decoder")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"must be a \.safetensors or \.npz file"):
        interop.params_from_checkpoint(folder, "decoder")
    for inside in "model.safetensors", "model.safetensors.index.json":
        (folder / inside).mkdir()
        with pytest.raises(ValueError, match="is a folder, but must be a regular file"):
            interop.params_from_checkpoint(folder, "decoder")
        (folder / inside).rmdir()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads all")
def test_files_must_be_readable(tmp_path):
    path = tmp_path / "a.safetensors"
    saved(path, 1)
    path.chmod(stat.S_IWUSR)
    with pytest.raises(ValueError, match="that can be opened: Permission denied"):
        interop.params_from_checkpoint(path, "decoder")


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize(
    "name", ("a" * 5000, "\ud800", "a\0b"), ids=("long", "half", "0")
)
def test_names_that_are_none_do_not_exist(tmp_path, name, suffix):
    with pytest.raises(ValueError, match="does not exist") as caught:
        interop.params_from_checkpoint(f"{tmp_path}/{name}{suffix}", "decoder")
    assert str(caught.value).startswith("params_from_checkpoint: source='")
    assert len(str(caught.value).encode()) < 500


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path, opened = tmp_path / "a.safetensors", []
    saved(path, 1)
    first = os.open
    monkeypatch.setattr(os, "open", lambda *a: opened.append(a) or first(*a))
    read = Safetensors._array
    reads = []

    def counted(self, place, start, shape):
        reads.append(start)
        return read(self, place, start, shape)

    monkeypatch.setattr(Safetensors, "_array", counted)
    interop.params_from_checkpoint(path, "decoder", tied=False)
    assert len(opened) == 1
    assert len(reads) == len(set(reads)) == 2


@pytest.mark.parametrize("source", (3, None, b"a.safetensors"), ids=repr)
def test_a_source_is_a_mapping_or_a_path(source):
    message = f"^source is an? {type(source).__name__}, but must be a mapping of"
    with pytest.raises(ValueError, match=message), open_source(source, False):
        pass


def test_names_of_a_mapping_are_strings():
    with pytest.raises(ValueError, match=r"^source has the key 3, which must be"):
        with open_source({NAME: 0, 3: 0}, False):
            pass
