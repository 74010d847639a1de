"""Files: safetensors, whole and in shards, and what loading them costs in memory."""

import json
import pathlib
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop

safetensors = pytest.importorskip("safetensors.numpy")
NAMES = ("wte.weight", "wpe.weight", "lm_head.weight")


def gpt2(dtype=np.float32):
    rng = np.random.default_rng(0)
    draw = lambda rows: rng.normal(size=(rows, 6)).astype(dtype)
    table = draw(11)
    return {"wte.weight": table, "wpe.weight": draw(9), "lm_head.weight": table}


OTHERS = {"h.0.attn.weight": np.ones((6, 18), np.float32)}


def assert_there_and_back(source, tensors, family="gpt2", **options):
    checkpoint = interop.params_from_checkpoint(source, family, **options)
    written = interop.checkpoint_from_params(checkpoint)
    assert written.keys() == tensors.keys()
    for name, array in tensors.items():
        assert_same_bits(written[name], array)
    return written


@pytest.mark.parametrize("dtype", (np.float32, ml_dtypes.bfloat16, np.float16))
def test_a_file_there_and_back(tmp_path, dtype):
    tensors = gpt2(dtype)
    path = tmp_path / "model.safetensors"
    safetensors.save_file(tensors | OTHERS, path)
    for source in (path, str(path), tmp_path):
        written = assert_there_and_back(source, tensors)
    # A writer that ignores strides must not scramble what comes back.
    again = tmp_path / "again.safetensors"
    safetensors.save_file(written, again)
    assert_there_and_back(again, tensors)


def test_kernels_are_written_in_row_order(tmp_path):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    for family, tensors in (
        ("timm", {"patch_embed.proj.weight": draw(6, 3, 5, 4)}),
        ("siglip2_vision", {"embeddings.patch_embedding.weight": draw(6, 60)}),
    ):
        if family == "siglip2_vision":
            tensors["embeddings.patch_embedding.bias"] = draw(6)
            tensors["embeddings.position_embedding.weight"] = draw(9, 6)
        checkpoint = interop.params_from_checkpoint(tensors, family)
        path = tmp_path / f"{family}.safetensors"
        safetensors.save_file(interop.checkpoint_from_params(checkpoint), path)
        assert_there_and_back(path, tensors, family)


@pytest.mark.parametrize("given", ("index", "folder"))
def test_shards_there_and_back(tmp_path, given):
    tensors = gpt2()
    shards = {
        "wte.weight": "model-00001-of-00003.safetensors",
        "wpe.weight": "model-00002-of-00003.safetensors",
        "lm_head.weight": "model-00002-of-00003.safetensors",
        # Never written: a shard without tensors of the embedding is not opened.
        "h.0.attn.weight": "model-00003-of-00003.safetensors",
    }
    for file in set(shards[name] for name in NAMES):
        held = {name: tensors[name] for name in NAMES if shards[name] == file}
        safetensors.save_file(held, tmp_path / file)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert_there_and_back(index if given == "index" else tmp_path, tensors)


@pytest.mark.errors
def test_a_shard_must_hold_what_the_index_says(tmp_path):
    safetensors.save_file(
        {"wte.weight": np.ones((3, 2), "f4")}, tmp_path / "a.safetensors"
    )
    index = tmp_path / "model.safetensors.index.json"
    shards = {"wte.weight": "a.safetensors", "wpe.weight": "a.safetensors"}
    index.write_text(json.dumps({"weight_map": shards}))
    message = "'wpe.weight' must be in 'a.safetensors', as the index says"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(index, "gpt2")


@pytest.mark.errors
@pytest.mark.parametrize(
    "text",
    ("{}", "[]", "3", "no json", '{"weight_map": [1]}', '{"weight_map": {"a": 3}}'),
)
def test_an_index_must_be_one(tmp_path, text):
    index = tmp_path / "config.json"
    index.write_text(text)
    message = f"^params_from_checkpoint: '{index}' must hold the index of shards"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(index, "gpt2")


@pytest.mark.errors
def test_an_index_must_name_all_of_its_shards(tmp_path):
    table = {"embed_tokens.weight": np.ones((3, 2), "f4")}
    safetensors.save_file(table, tmp_path / "a.safetensors")
    head = {"lm_head.weight": np.zeros((3, 2), "f4")}
    safetensors.save_file(head | OTHERS, tmp_path / "b.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    shards = dict.fromkeys(table, "a.safetensors")
    shards |= dict.fromkeys(OTHERS, "b.safetensors")
    index.write_text(json.dumps({"weight_map": shards}))
    message = (
        f"'lm_head.weight' of 'b.safetensors' must be in '{index.name}', the index"
    )
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(tmp_path, "decoder")


@pytest.mark.errors
def test_shards_must_be_there(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"wte.weight": "a.safetensors"}}')
    message = f"^params_from_checkpoint: '{tmp_path / 'a.safetensors'}' does not exist"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(tmp_path, "gptj")


@pytest.mark.errors
@pytest.mark.parametrize("kept", (0, 4, 50, -3))
def test_files_must_be_whole(tmp_path, kept):
    path = tmp_path / "model.safetensors"
    safetensors.save_file(gpt2(), path)
    path.write_bytes(path.read_bytes()[:kept])
    message = f"^params_from_checkpoint: '{path}' must be a whole safetensors file: "
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "gpt2")


@pytest.mark.errors
def test_archives_must_be_whole(tmp_path):
    path = tmp_path / "gpt2.npz"
    np.savez(path, **gpt2())
    whole = path.read_bytes()
    message = f"^params_from_checkpoint: '{path}' must be a whole .npz file: "
    for content in (b"", b"xx", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            interop.params_from_checkpoint(path, "gpt2")
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").rename(path)
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "gpt2")


@pytest.mark.errors
def test_members_of_archives_must_be_arrays(tmp_path):
    path = tmp_path / "gpt2.npz"
    np.savez(path, **gpt2())
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 200] ^= 1  # a checksum is wrong
    path.write_bytes(content)
    message = f"^params_from_checkpoint: 'wte.weight' of '{path}' must be an array, but"
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "gpt2")
    np.savez(path, **gpt2() | {"wte.weight": np.array([[None]])})
    with pytest.raises(ValueError, match=message):
        interop.params_from_checkpoint(path, "gpt2")


def test_npz_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    tensors = {
        "params/embedding/kernel": draw(5, 2, 3, 6),
        "params/embedding/bias": draw(6),
        "params/pos_embedding": draw(1, 4, 6),
    }
    np.savez(tmp_path / "vit.npz", **tensors, **{"params/head/bias": draw(7)})
    assert_there_and_back(tmp_path / "vit.npz", tensors, "big_vision")


def test_long_copies_are_compared_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("attnax.interop._checkpoints.arrays.CHUNK_BYTES", 3 * 6 * 4)
    path, tensors = tmp_path / "model.safetensors", gpt2()
    safetensors.save_file(tensors, path)
    assert_there_and_back(path, tensors)
    for row in (0, 2, 3, 10):
        table = tensors["wte.weight"].copy()
        table[row, 5] += 1.0
        safetensors.save_file(tensors | {"lm_head.weight": table}, path)
        with pytest.raises(ValueError, match="must equal the token table"):
            interop.params_from_checkpoint(path, "gpt2")


@pytest.mark.errors
def test_dtypes_that_numpy_cannot_hold_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = gpt2() | {"wpe.weight": np.ones((9, 6), ml_dtypes.float8_e4m3fn)}
    safetensors.save_file(tensors, path)
    with pytest.raises(ValueError, match=r"'wpe.weight' of dtype F8_E4M3 must be one"):
        interop.params_from_checkpoint(path, "gpt2")


@pytest.mark.errors
@pytest.mark.skipif(jax.config.jax_enable_x64, reason="not in 64-bit mode")
def test_float64_in_a_file_is_not_rounded(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.save_file(gpt2(np.float64), path)
    with pytest.raises(ValueError, match="dtype float64 must come with jax_enable_x64"):
        interop.params_from_checkpoint(path, "gpt2")


MIB = 2**20
MEASURE = """
import sys, threading
import jax, numpy as np
from safetensors.numpy import save_file
from attnax import interop

def kib(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))

path, family = sys.argv[1:]
jax.device_put(np.zeros(1)).block_until_ready()
interop.params_from_checkpoint({"wte.weight": np.zeros((2, 2), "f4")}, "gptj")
import safetensors
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts from here
before = kib("VmRSS")
checkpoint = interop.params_from_checkpoint(path, family)
leaves = jax.tree.leaves((checkpoint.params, checkpoint.head))
print(kib("VmHWM") - before, sum(leaf.nbytes for leaf in leaves) // 1024)
"""


def peak_of_loading(path, family):
    """Growth of the resident memory at its peak and bytes of the parameters, in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), family],
        cwd=pathlib.Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return [int(n) / 1024 for n in run.stdout.split()]


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/clear_refs").exists(), reason="needs Linux"
)
@pytest.mark.slow  # in a process of its own
@pytest.mark.parametrize("family", ("decoder", "t5", "big_vision"))
def test_peak_memory_is_the_tensors_and_one_more(tmp_path, family):
    # A table of 64 MiB and a head of 64 MiB, or a copy that is not kept; or a kernel of
    # 64 MiB; with 128 MiB in the file that are nobody's here.
    table = np.ones((16_384, 1024), np.float32)
    if family == "decoder":
        tensors = {"embed_tokens.weight": table, "lm_head.weight": table + 1.0}
    elif family == "t5":
        tensors = {"shared.weight": table, "encoder.embed_tokens.weight": table}
    else:
        kernel = table.reshape(64, 64, 4, 1024)
        tensors = {"embedding/kernel": kernel, "embedding/bias": table[0]}
        tensors["pos_embedding"] = table[None, :16]
    others = {f"model/layers.{n}.weight": table for n in range(2)}
    path = tmp_path / "model.safetensors"
    safetensors.save_file(tensors | others, path)
    peak, params = peak_of_loading(path, family)
    largest = table.nbytes / MIB
    assert params >= largest
    # Room for what is compared at a time, and for the allocator.
    assert peak <= params + largest + 24
