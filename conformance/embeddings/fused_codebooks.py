"""Models whose tokens are the sum of a row of each of several codebooks."""

from unittest import mock

import numpy as np

from .checkpoint_models import WIDTH, drawn
from .records import Record

CODES, BOOKS, STEPS = 7, 3, 4
DTYPES = ("float32", "bfloat16")


def codebooks():
    for dtype in DTYPES:
        for make in (_musicgen, _moshi, _csm, _dia):
            yield make(dtype)


def fused_record(name, weights, ids, expected, dtype, **settings):
    """A record of tables, of an id of each, and of the result of a model."""
    import transformers

    tables = [np.asarray(weight.detach().float()) for weight in weights]
    options = {"function": "apply_fused_embedding", "dtype": dtype}
    options["settings"] = {"row_counts": [len(table) for table in tables], **settings}
    arrays = {"weight": np.concatenate(tables), "ids": np.asarray(ids)}
    arrays["expected"] = np.asarray(expected.detach().float())
    source = f"transformers {transformers.__version__}, {name}"
    return Record(f"{name}, {dtype}", source, options, arrays)


def rounded_each(dtype):
    """The settings of a model that adds up in its own dtype."""
    return {"accumulation_dtype": dtype} if dtype == "bfloat16" else {}


def drawn_codes(*shape, end=CODES):
    import torch

    return torch.tensor(np.random.default_rng(0).integers(0, end, shape))


def _musicgen(dtype):
    import torch
    from transformers import MusicgenDecoderConfig
    from transformers.models.musicgen.modeling_musicgen import MusicgenDecoder

    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 8}
    config = MusicgenDecoderConfig(
        vocab_size=CODES, hidden_size=WIDTH, num_codebooks=BOOKS, **sizes
    )
    decoder = drawn(MusicgenDecoder(config)).to(getattr(torch, dtype))
    # Positions are added to the sum, which is what is compared here.
    decoder.embed_positions.register_forward_hook(
        lambda module, args, output: torch.zeros_like(output)
    )
    seen = []
    decoder.layers[0].register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    codes = drawn_codes(2, BOOKS, STEPS, end=CODES + 1)  # with the special id
    decoder(input_ids=codes.reshape(-1, STEPS))
    weights = [table.weight for table in decoder.embed_tokens]
    name, ids = "MusicgenDecoder", codes.movedim(1, -1)
    return fused_record(name, weights, ids, seen[0], dtype, **rounded_each(dtype))


def _moshi(dtype):
    import torch
    from transformers import MoshiConfig
    from transformers.models.moshi import modeling_moshi as moshi

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"num_key_value_heads": 2, "ffn_dim": 8, "vocab_size": 11}
    config = MoshiConfig(
        audio_vocab_size=CODES,
        num_codebooks=BOOKS,
        depth_decoder_config=sizes | {"input_size": WIDTH},
        **sizes,
    )
    # The codec makes the codes, and no embedding reads it.
    codec = mock.patch.object(
        moshi.AutoModel, "from_config", return_value=torch.nn.Identity()
    )
    with codec:
        model = moshi.MoshiForConditionalGeneration(config)
    model = drawn(model).to(getattr(torch, dtype))
    codes = drawn_codes(2, 2 * BOOKS, STEPS, end=CODES + 1)
    text = drawn_codes(2, STEPS, end=12)
    embedded = model._prepare_inputs_embeds_for_generation(
        input_ids=text,
        moshi_audio_codes=codes[:, :BOOKS],
        user_audio_codes=codes[:, BOOKS:],
    )[0]
    # The codebooks of the model, those of the user, and the text last.
    weights = [table.weight for table in model.embed_tokens]
    weights.append(model.decoder.model.embed_tokens.weight)
    ids = torch.cat([codes, text[:, None]], dim=1).movedim(1, -1)
    name = type(model).__name__
    return fused_record(name, weights, ids, embedded, dtype, **rounded_each(dtype))


def _csm(dtype):
    import torch
    from transformers import CsmConfig
    from transformers.models.csm.modeling_csm import CsmBackboneModelEmbeddings

    config = CsmConfig(num_codebooks=BOOKS, vocab_size=CODES, hidden_size=WIDTH)
    # The vocabulary of the config is that of a codebook.
    config.codebook_size = CODES
    model = drawn(CsmBackboneModelEmbeddings(config)).to(getattr(torch, dtype))
    ids = drawn_codes(2, STEPS, BOOKS)
    weights = model.embed_audio_tokens.weight.split(CODES)
    return fused_record(type(model).__name__, weights, ids, model(ids), dtype)


def _dia(dtype):
    import torch
    from transformers import DiaDecoderConfig
    from transformers.models.dia.modeling_dia import DiaMultiChannelEmbedding

    config = DiaDecoderConfig(
        vocab_size=CODES, num_channels=BOOKS, hidden_size=WIDTH, num_hidden_layers=1
    )
    model = drawn(DiaMultiChannelEmbedding(config)).to(getattr(torch, dtype))
    ids = drawn_codes(2, STEPS, BOOKS)
    weights = model.embed.weight.split(CODES)
    return fused_record(type(model).__name__, weights, ids, model(ids), dtype)
