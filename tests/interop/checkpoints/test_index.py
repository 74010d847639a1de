"""Indices of shards, and where the files that they name may lie."""

import json
import os
import pathlib
import re

import numpy as np
import pytest

from attnax import interop

save_file = pytest.importorskip("safetensors.numpy").save_file
pytestmark = pytest.mark.errors
NAME, HEAD = "embed_tokens.weight", "lm_head.weight"
INDEX = "model.safetensors.index.json"


def save(path, name=NAME, value=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.full((4, 3), value, np.float32)}, path)
    return path


def index(folder, weight_map):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


def load(source, **options):
    return interop.params_from_checkpoint(source, "decoder", **options).params.weight


def fails(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize(
    "file",
    (
        "../secret.safetensors",
        "a/../../secret.safetensors",
        "..",
        "a/..",
        "..\\secret.safetensors",
        "C:secret.safetensors",
        "C:\\secret.safetensors",
        "\\\\server\\share\\secret.safetensors",
        "",
        "a\0b",
    ),
)
@pytest.mark.parametrize("follow_links", (False, True))
def test_files_must_be_inside_by_their_names(tmp_path, file, follow_links):
    save(tmp_path / "secret.safetensors")
    folder = index(tmp_path / "model", {NAME: file})
    message = f"the file {file!r} must be a path inside the folder of its index"
    with fails(message):
        load(folder, follow_links=follow_links)
    # Even where the embedding does not need it.
    save(folder / "a.safetensors")
    index(folder, {NAME: "a.safetensors", "layers.0": file})
    with fails(message):
        load(folder / INDEX, follow_links=follow_links)


def test_files_must_not_be_absolute(tmp_path):
    secret = save(tmp_path / "secret.safetensors")
    folder = index(tmp_path / "model", {NAME: str(secret)})
    with fails(f"the file '{secret}' must be a path inside the folder of its index"):
        load(folder)


def test_files_may_lie_in_folders_inside(tmp_path):
    folder = index(tmp_path, {NAME: "parts/a.safetensors"})
    save(tmp_path / "parts" / "a.safetensors")
    assert load(folder).shape == (4, 3)


def test_links_may_lead_anywhere_inside(tmp_path):
    save(tmp_path / "m" / "real" / "a.safetensors")
    folder = index(tmp_path / "m", {NAME: "a.safetensors"})
    (folder / "a.safetensors").symlink_to("real/a.safetensors")
    assert load(folder).shape == (4, 3)
    # The folder itself may be a link: the caller chose it.
    (tmp_path / "link").symlink_to(folder)
    assert load(tmp_path / "link").shape == (4, 3)


@pytest.mark.parametrize("linked", ("file", "folder"))
def test_links_out_of_the_folder_are_the_callers_to_follow(tmp_path, linked):
    secret = save(tmp_path / "other" / "a.safetensors")
    file = "a.safetensors" if linked == "file" else "sub/a.safetensors"
    folder = index(tmp_path / "model", {NAME: file})
    if linked == "file":
        (folder / file).symlink_to(secret)
    else:
        (folder / "sub").symlink_to(secret.parent)
    message = f"'{folder / file}' leads to '{secret.resolve()}', outside of its folder"
    with fails(f"params_from_checkpoint: {message}; pass follow_links=True if you"):
        load(folder)
    assert load(folder, follow_links=True).shape == (4, 3)


@pytest.mark.parametrize("name", ("model.safetensors", INDEX))
def test_what_a_folder_holds_may_not_lead_out_either(tmp_path, name):
    (tmp_path / "model").mkdir()
    save(tmp_path / "out" / "model.safetensors")
    index(tmp_path / "out", {NAME: "model.safetensors"})
    link = tmp_path / "model" / name
    link.symlink_to(tmp_path / "out" / name)
    with fails(f"'{link}' leads to '{(tmp_path / 'out' / name).resolve()}'"):
        load(tmp_path / "model")
    if name != INDEX:  # named by the caller, who knows where it leads
        assert load(link).shape == (4, 3)
        assert load(tmp_path / "model", follow_links=True).shape == (4, 3)


def hub(root, files):
    """The cache of Hugging Face's hub: a snapshot of links to blobs of other names."""
    repository = root / "models--owner--name"
    snapshot = repository / "snapshots" / "0a1b2c"
    (repository / "blobs").mkdir(parents=True)
    for number, (file, make) in enumerate(files.items()):
        blob = repository / "blobs" / f"{number:040x}"
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        make(blob)
        (snapshot / file).symlink_to(os.path.relpath(blob, (snapshot / file).parent))
    return snapshot


@pytest.mark.parametrize("sub", ("", "text_encoder/"))
def test_the_cache_of_the_hub_is_read_as_it_lies(tmp_path, sub):
    shards = {NAME: "a.safetensors", HEAD: "b.safetensors"}
    text = json.dumps({"weight_map": shards})
    files = {
        f"{sub}{INDEX}": lambda blob: blob.write_text(text),
        f"{sub}a.safetensors": save,
        f"{sub}b.safetensors": lambda blob: save(blob, HEAD, 2.0),
    }
    snapshot = hub(tmp_path, files)
    (tmp_path / "link").symlink_to(snapshot)
    for source in snapshot / sub, snapshot / sub / INDEX, tmp_path / "link" / sub:
        assert load(source).shape == (4, 3)
    single = hub(tmp_path / "second", {f"{sub}model.safetensors": save})
    assert load(single / sub).shape == (4, 3)


def test_the_blobs_of_another_repository_are_outside(tmp_path):
    snapshot = hub(tmp_path, {"model.safetensors": save})
    other = tmp_path / "models--owner--other" / "snapshots" / "1"
    other.mkdir(parents=True)
    (other / "model.safetensors").symlink_to((snapshot / "model.safetensors").resolve())
    with fails("outside of its folder"):
        load(other)
    # Nor are they where a link of their name leads.
    (other.parents[1] / "blobs").symlink_to(tmp_path)
    with fails("outside of its folder"):
        load(other)


def test_names_that_no_file_can_have(tmp_path):
    for file in "a" * 5000, "\ud800":
        folder = index(tmp_path, {NAME: file})
        for follow_links in (False, True):
            with pytest.raises(ValueError, match="can be opened") as caught:
                load(folder, follow_links=follow_links)
            assert len(str(caught.value).encode()) < 900


@pytest.mark.parametrize(
    ("text", "why"),
    (
        ('{"weight_map": {"a": "x", "a": "y"}}', "it has the key 'a' twice"),
        ('{"weight_map": {}, "weight_map": {}}', "it has the key 'weight_map'"),
        ('{"weight_map": {"a": 3}}', "3 is not the name of a file"),
        ('{"weight_map": {"a": null}}', "None is not the name of a file"),
        ('{"weight_map": ["a"]}', "it has no `weight_map`"),
        ('{"weight_map": {"\\ud800": "x"}}', r"the key '\ud800' is not valid Unicode"),
        ('{"metadata": ' * 100_000, "it is nested too deeply"),
        ("[1]", "it holds a list in place of an object"),
        ("", "Expecting value"),
    ),
    ids=range(9),
)
def test_an_index_must_be_a_whole_one(tmp_path, text, why):
    (tmp_path / INDEX).write_text(text)
    with fails("must hold the index of shards, a `weight_map`") as caught:
        load(tmp_path)
    assert why in str(caught.value)


def test_a_shard_that_is_replaced_is_not_mixed_with_the_others(tmp_path, monkeypatch):
    shards = {NAME: "a.safetensors", HEAD: "b.safetensors"}
    folder = index(tmp_path / "m", shards)
    save(folder / "a.safetensors")
    save(folder / "b.safetensors", HEAD)
    other = save(tmp_path / "b.safetensors", HEAD, 2.0)
    from attnax.interop._checkpoints import api as _weights

    found = _weights.find_prefix

    def find_prefix(*args):  # after all shards have been looked into
        pathlib.Path.replace(other, folder / "b.safetensors")
        return found(*args)

    monkeypatch.setattr(_weights, "find_prefix", find_prefix)
    with fails("b.safetensors' was replaced while the checkpoint was read"):
        load(folder)


def test_few_files_are_open_at_a_time(tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 64
    names = {f"layers.{n}": f"{n}.safetensors" for n in range(40)}
    folder = index(tmp_path, {NAME: "a.safetensors", **names})
    save(folder / "a.safetensors")
    for name, file in names.items():
        save(folder / file, name)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    try:
        assert load(folder).shape == (4, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
