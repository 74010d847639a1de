"""Parameters that cannot be written, named with what they do not fit."""

import host
import pytest
from helpers import refused
from zero_tensors import GPT2, bert, fails, zeros

import attnax.functional as F
from attnax import interop

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def test_parameters_must_be_those_of_the_family():
    table = F.TokenEmbeddingParams(host.ones((3, 2)))
    message = "checkpoint.params is a TokenEmbeddingParams, but must be an "
    with fails(f"{message}attnax.functional.TextEmbeddingParams"):
        write(interop.EmbeddingCheckpoint("bert", table))


def vision(before=1, behind=0, num_positions=7, patch_dim=60, **others):
    rows = lambda n: host.ones((n, 6)) if n else None
    table = F.LearnedPositionalEmbeddingParams(host.ones((num_positions, 6)))
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(host.ones((patch_dim, 6)), host.ones(6)),
        positions=table if num_positions else None,
        tokens_with_position=rows(before),
        tokens_without_position=rows(behind),
    )
    options = {"family": "vit", "patch_size": (5, 4), "grid": (2, 3)} | others
    return interop.EmbeddingCheckpoint(params=params, **options)


def test_parameters_must_fit_the_file():
    assert write(vision())["embeddings.position_embeddings"].shape == (1, 7, 6)
    for made, message in (
        (
            vision(before=2, num_positions=8),
            "tokens_with_position and tokens_without_position have 2 rows, but must "
            "have one for each of ['class']",
        ),
        (
            vision(before=0, num_positions=6),
            "have 0 rows, but must have one for each of ['class']",
        ),
        (
            vision(before=0, behind=1, num_positions=6),
            "tokens_without_position has 1 rows, but must have 0: a file with o",
        ),
        (
            vision(before=2, family="dinov2_with_registers", num_positions=8),
            "tokens_without_position has 0 rows, but must have 1",
        ),
        (
            vision(before=1, behind=1, family="timm"),
            "tokens_without_position has 1 rows, but must have 0",
        ),
        (
            vision(num_positions=8),
            "params.positions.weight.shape=(8, 6) must have 1 + rows * columns rows "
            "for grid=(2, 3)",
        ),
        (vision(grid=None), "must have 1 + rows * columns rows for grid=None"),
        (vision(patch_size=None), "patch_size=None must be that of the patches"),
        (vision(patch_dim=61), "weight.shape=(61, 6) must have a multiple of 5 x 4"),
        (
            vision(family="dinov3"),
            "family='dinov3' must have a tensor for every parameter, but has none for "
            "['positions']",
        ),
    ):
        with fails(message):
            write(made)


def test_widths_must_agree_when_written():
    made = vision()
    wide = made.params._replace(tokens_with_position=host.ones((1, 7)))
    message = (
        "checkpoint_from_params: 'embeddings.cls_token' of shape (1, 1, 7) must have "
        "shape (1, 1, 6)."
    )
    with fails(message):
        write(made._replace(params=wide))
    tables = [F.TokenEmbeddingParams(host.ones((n, 6))) for n in (11, 2)]
    wide = F.LearnedPositionalEmbeddingParams(host.ones((9, 7)))
    params = F.TextEmbeddingParams(tables[0], wide, tables[1])
    message = (
        "checkpoint_from_params: 'embeddings.position_embeddings.weight' of shape "
        "(9, 7) must have shape (num_positions, 6)."
    )
    with fails(message):
        write(interop.EmbeddingCheckpoint("bert", params))
    params = F.TextEmbeddingParams(tables[0], wide, None)
    with fails("'embed_tokens.weight' of shape (11, 6) must have shape (11, 7)"):
        write(interop.EmbeddingCheckpoint("opt", params))


def changed(checkpoint, **tables):
    tables = {
        name: type_of(host.zeros(shape)) for name, (type_of, shape) in tables.items()
    }
    return checkpoint._replace(params=checkpoint.params._replace(**tables))


def test_what_is_in_rest_must_fit_what_is_written():
    token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams
    heads = {"cls.predictions.decoder.weight": (11, 6), "cls.predictions.bias": (11,)}
    whole = load(bert("bert.") | zeros(**heads), "bert")
    with fails("'cls.predictions.bias' of shape (11,) must have shape (13,)."):
        write(changed(whole, token=(token, (13, 6))))
    tables = {"token": (token, (11, 5)), "token_types": (token, (2, 5))}
    narrow = changed(whole, positions=(learned, (9, 5)), **tables)
    with fails("'bert.embeddings.LayerNorm.weight' of shape (6,) must have shape (5,)"):
        write(narrow)
    opt = zeros(
        ("embed_tokens.weight", (11, 4)),
        ("embed_positions.weight", (9, 6)),
        ("project_in.weight", (6, 4)),
        ("project_out.weight", (4, 6)),
    )
    with fails("'project_in.weight' of shape (6, 4) must have shape (6, 3)."):
        write(changed(load(opt, "opt"), token=(token, (11, 3))))
    heads = zeros(("lm_head.weight", (12, 6)), ("lm_head.bias", (12,)))
    own = load(zeros(("wte.weight", (11, 6))) | heads, "gptj")
    with fails("'lm_head.bias' of shape (12,) must have shape (13,)."):
        write(own._replace(head=token(host.zeros((13, 6)))))
    with fails("'lm_head.bias' of shape (12,) must have shape (11,)."):
        write(own._replace(head=None))
    with fails("'wte.bias' of shape (6,) must not be there"):
        write(own._replace(extra_tensors=own.extra_tensors | zeros(("wte.bias", (6,)))))
    with fails("'lm_head.bias' of type list must be a NumPy or JAX array"):
        write(own._replace(extra_tensors={"lm_head.bias": [0.0] * 12}))


def test_rest_must_not_replace_a_parameter():
    checkpoint = load(zeros(**GPT2), "gpt2")
    with fails(
        "'wte.weight' must not be in extra_tensors, since it is in the parameters."
    ):
        write(checkpoint._replace(extra_tensors=zeros(("wte.weight", (11, 6)))))


def made_of_nothing(family):
    """Parameters of a family without what its files must have."""
    token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams
    tables = [token(host.ones((11, 6))), learned(host.ones((9, 6)))]
    types = token(host.ones((2, 6)))
    return {
        "gpt2": F.TextEmbeddingParams(tables[0], None, None),
        "bert": F.TextEmbeddingParams(*tables, types),
        "roberta": F.TextEmbeddingParams(*tables, None),
        "bloom": tables[0],
    }[family]


@pytest.mark.parametrize(
    ("family", "name", "shape"),
    (
        ("gpt2", "'a.wpe.weight'", "(num_positions, 6)"),
        (
            "bert",
            "'a.embeddings.LayerNorm.weight' or 'a.embeddings.LayerNorm.gamma'",
            "(6,)",
        ),
        (
            "roberta",
            "'a.embeddings.token_type_embeddings.weight'",
            "(num_token_types, 6)",
        ),
        (
            "bloom",
            "'a.word_embeddings_layernorm.weight' or "
            "'a.word_embeddings_layernorm.gamma'",
            "(6,)",
        ),
    ),
)
def test_files_of_texts_are_written_whole(family, name, shape):
    made = interop.EmbeddingCheckpoint(family, made_of_nothing(family), prefix="a")
    message = (
        f"checkpoint_from_params: {name} must be there, of shape {shape}, with "
        "prefix='a.'; put it in params or extra_tensors, or take another family."
    )
    with fails(message):
        write(made)


def test_files_of_images_are_written_whole():
    made = vision()
    patch = made.params.patch._replace(bias=None)
    for params, name in (
        (made.params._replace(patch=patch), "patch_embeddings.projection.bias"),
        (made.params._replace(positions=None), "position_embeddings"),
    ):
        with fails(f"checkpoint_from_params: 'embeddings.{name}' must be there, of "):
            write(made._replace(params=params))


@pytest.mark.parametrize(
    ("family", "before", "side", "role"),
    (
        ("dinov2_with_registers", 1, "tokens_without_position", "registers"),
        ("dinov3", 1, "tokens_without_position", "registers"),
    ),
)
def test_tokens_must_be_there(family, before, side, role):
    made = vision(before=before, family=family)
    if family == "dinov3":
        made = made._replace(params=made.params._replace(positions=None))
    message = (
        f"{side}=None must hold the {role}; pass an array of 0 rows if there are none"
    )
    with fails(message):
        write(made)
    none = made.params._replace(tokens_without_position=host.ones((0, 6)))
    written = write(made._replace(params=none))
    assert written["embeddings.register_tokens"].shape == (1, 0, 6)


def test_sizes_must_be_integers_when_written():
    with refused("patch_size=8.0 must be"):
        write(vision(patch_size=8.0))
    with refused(r"grid=\(2.0, 3\) must be"):
        write(vision(grid=(2.0, 3)))


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed", ({"family": "siglip_vision"}, {"family": "timm"}, {"prefix": "vit."})
)
def test_a_layout_is_of_its_family_and_prefix(changed):
    weights = {
        "embeddings.cls_token": host.ones((1, 1, 4)),
        "embeddings.position_embeddings": host.ones((1, 5, 4)),
        "embeddings.patch_embeddings.projection.weight": host.ones((4, 3, 2, 2)),
        "embeddings.patch_embeddings.projection.bias": host.ones(4),
    }
    checkpoint = interop.params_from_checkpoint(weights, "vit")
    message = "checkpoint_from_params: tensors has 'embeddings.*set tensors=None"
    with pytest.raises(ValueError, match=message):
        interop.checkpoint_from_params(checkpoint._replace(**changed))
    if "prefix" in changed:
        checkpoint = checkpoint._replace(tensors=None, **changed)
        names = interop.checkpoint_from_params(checkpoint)
        assert set(names) == {f"vit.{name}" for name in weights}
