"""Images through the embeddings of timm, and of big_vision as timm reads it."""

import importlib
import importlib.machinery
import importlib.metadata
import os
import sys
import tempfile
import types

import numpy as np

from .checkpoint_models import PATCH, SQUARE, WIDTH, drawn, picture, record


def timm():
    version, models = models_of_timm()
    pixels = [side * PATCH for side in (3, 5)]
    sizes = {"patch_size": PATCH, "embed_dim": WIDTH, "depth": 1, "num_heads": 2}
    sizes |= {"img_size": pixels, "dynamic_img_size": True, "num_classes": 0}
    for title, module, name, extra in (
        ("class token", "vision_transformer", "VisionTransformer", {}),
        (
            "no_embed_class",
            "vision_transformer",
            "VisionTransformer",
            {"no_embed_class": True, "reg_tokens": 2},
        ),
        ("registers", "vision_transformer", "VisionTransformer", {"reg_tokens": 2}),
        (
            "patches only",
            "vision_transformer",
            "VisionTransformer",
            {"class_token": False, "global_pool": "avg"},
        ),
        ("distilled", "deit", "VisionTransformerDistilled", {}),
    ):
        model = drawn(getattr(models(module), name)(**sizes, **extra))
        for grid in ((3, 5), (7, 4)):
            image = picture(grid)
            expected = model._pos_embed(model.patch_embed(image))
            yield record(
                f"timm: {title}, {grid[0]} x {grid[1]}",
                f"timm {version}, {name}",
                "timm",
                model,
                {"image": image},
                expected,
                grid=(3, 5),
            )
    for kind in ("linear", "conv"):
        model = models("naflexvit").NaFlexVit(
            patch_size=PATCH,
            embed_dim=WIDTH,
            depth=1,
            num_heads=2,
            num_classes=0,
            embed_proj_type=kind,
            pos_embed_grid_size=(3, 5),
            class_token=True,
            reg_tokens=2,
            global_pool="token",
        )
        model = drawn(model)
        image = picture((7, 4))
        expected, _ = model.embeds(image)
        title, by = f"timm_naflex: {kind}", f"timm {version}, NaFlexVit"
        arrays = {"image": image}
        yield record(title, by, "timm_naflex", model, arrays, expected)


def dinov2_hub():
    """Names and arrays as in the files of DINOv2's authors, read and run by timm."""
    version, models = models_of_timm()
    module = models("vision_transformer")
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32) / 4
    sizes = {"img_size": SQUARE[0] * PATCH, "patch_size": PATCH, "embed_dim": WIDTH}
    sizes |= {"depth": 0, "num_heads": 2, "num_classes": 0}
    for title, count in (("dinov2_hub", 0), ("dinov2_hub: registers", 2)):
        state = {
            "cls_token": draw(1, 1, WIDTH),
            "pos_embed": draw(1, 1 + SQUARE[0] * SQUARE[1], WIDTH),
            "mask_token": draw(1, WIDTH),
            "patch_embed.proj.weight": draw(WIDTH, 3, PATCH, PATCH),
            "patch_embed.proj.bias": draw(WIDTH),
        }
        if count:
            state["register_tokens"] = draw(1, count, WIDTH)
        model = module.VisionTransformer(
            **sizes, reg_tokens=count, no_embed_class=count > 0
        )
        _load_dinov2(module, model, state)
        image = picture(SQUARE)
        expected = model._pos_embed(model.patch_embed(image))
        by = f"timm {version}, VisionTransformer and checkpoint_filter_fn"
        yield record(title, by, "dinov2_hub", state, {"image": image}, expected)


def _load_dinov2(module, model, state):
    import torch

    tensors = {name: torch.tensor(array) for name, array in state.items()}
    converted = module.checkpoint_filter_fn(tensors, model)
    missing, unexpected = model.load_state_dict(converted, strict=False)
    assert not unexpected and set(missing) == {"norm.weight", "norm.bias"}, missing
    model.eval()


def big_vision():
    """Names and arrays as in the files of big_vision, read and run by timm."""
    version, models = models_of_timm()
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32) / 4
    rows, columns = SQUARE
    count = rows * columns
    tensors = {
        "embedding/kernel": draw(PATCH, PATCH, 3, WIDTH),
        "embedding/bias": draw(WIDTH),
    }
    with_class = tensors | {"cls": draw(1, 1, WIDTH)}
    old = {"Transformer/posembed_input/pos_embedding": draw(1, count + 1, WIDTH)}
    flat = {"embedding/kernel": tensors["embedding/kernel"].reshape(-1, WIDTH)}
    flat |= {"pos_embedding": draw(rows, columns, WIDTH)}
    sizes = {"patch_size": PATCH, "embed_dim": WIDTH, "depth": 0, "num_heads": 2}
    plain = {"img_size": rows * PATCH, "num_classes": 0, **sizes}
    naflex = {"pos_embed_grid_size": SQUARE, "class_token": False, "reg_tokens": 0}
    naflex |= {"global_pool": "avg", "num_classes": 0, **sizes}
    vit = models("vision_transformer").VisionTransformer
    for title, make, options, state in (
        (
            "big_vision: class token",
            vit,
            plain | {"no_embed_class": True},
            with_class | {"pos_embedding": draw(1, count, WIDTH)},
        ),
        ("big_vision: old", vit, plain, with_class | old),
        ("big_vision_naflex", models("naflexvit").NaFlexVit, naflex, tensors | flat),
    ):
        model = _loaded(make(**options), state, draw)
        image = picture(SQUARE)
        by = f"timm {version}, {make.__name__}.load_pretrained"
        family, arrays = title.partition(":")[0], {"image": image}
        if make is vit:
            expected = model._pos_embed(model.patch_embed(image))
        else:
            expected, _ = model.embeds(image)
        yield record(title, by, family, state, arrays, expected)


def _loaded(model, state, draw):
    """`model` with the arrays of a file of big_vision."""
    others = {
        "Transformer/encoder_norm/scale": draw(WIDTH),
        "Transformer/encoder_norm/bias": draw(WIDTH),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vit.npz")
        np.savez(path, **state, **others)
        model.load_pretrained(path)
    return model.eval()


def models_of_timm():
    """The version of timm, and a function that imports a module of its models.

    timm needs torchvision for its data sets, which are not used here.
    """

    class Nothing(types.ModuleType):
        __path__ = ()

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "torchvision" or name == "timm.data":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec):
            return Nothing(spec.name)

        def exec_module(self, module):
            pass

    def module(name):
        return importlib.import_module(f"timm.models.{name}")

    version = importlib.metadata.version("timm")
    if "timm.models" not in sys.modules:
        # `sources` may have imported packages that are only a path.
        for name in [n for n in sys.modules if n.partition(".")[0] == "timm"]:
            del sys.modules[name]
        finder = Finder()
        sys.meta_path.insert(0, finder)
        try:
            module("naflexvit")
        finally:
            sys.meta_path.remove(finder)
            for name in [
                n for n in sys.modules if n.partition(".")[0] == "torchvision"
            ]:
                del sys.modules[name]  # other code must not take it for the package
    return version, module
