"""Rows of hashed n-grams in transformers: Qwen4-exp, BLT and CANINE."""

import types
from importlib.metadata import version
from unittest import mock

import numpy as np

import attnax.functional as F

from .records import Record

HASHINGS = {
    "qwen4_exp": lambda layer, **options: F.qwen4_exp_hashings(**options)[layer],
    "blt": F.blt_hashing,
    "canine": F.canine_hashing,
}


def records():
    yield from qwen4_exp()
    yield from blt()
    yield from canine()


def ours(record):
    """The row ids of attnax for the same tokens."""
    hashing = HASHINGS[record.options["scheme"]](**record.options["settings"])
    token_ids, rows, context = record.arrays["token_ids"], [], None
    ends = np.cumsum(record.options.get("parts", [token_ids.shape[1]]))
    for part in np.split(token_ids, ends[:-1], axis=1):
        rows.append(F.ngram_row_ids(part, hashing, context=context))
        context = F.ngram_context(part, hashing, context=context)
    return np.concatenate(rows, axis=1)


def tolerance(record):
    """They are integers."""
    return 0.0


def record_of(name, where, scheme, settings, token_ids, expected):
    return Record(
        name=name,
        source=f"transformers {version('transformers')} {where}",
        options={"scheme": scheme, "settings": settings},
        arrays={"token_ids": token_ids, "expected": np.asarray(expected, np.int64)},
    )


def qwen4_exp():
    import torch
    from transformers.models.qwen4_exp import modeling_qwen4_exp as modeling

    class Rows(torch.nn.Module):
        """In place of a table of gigabytes: the rows that it would read."""

        def __init__(self, *sizes):
            super().__init__()
            self.weight = torch.zeros(1)

        def forward(self, ids):
            return ids[..., None]

    rng = np.random.default_rng(0)
    for vocab_size, eos_id, min_rows, size, heads, seed in (
        (248_320, 248_046, 20_000_000, 3, 8, 1234),  # the defaults of its config
        (100, 7, 50, 4, 3, 0),
        (60, 0, 2, 2, 1, 99),
    ):
        settings = {"num_layers": 3, "vocab_size": vocab_size, "eos_id": eos_id}
        settings |= {"min_rows": min_rows, "ngram_size": size}
        settings |= {"heads_per_ngram": heads, "seed": seed}
        config = types.SimpleNamespace(
            ngram_size=size,
            heads_per_ngram=heads,
            vocab_size=vocab_size,
            ngram_vocab_size_base=min_rows,
            seed=seed,
            eos_token_id=eos_id,
            make_ngram_vocab_size_divisible_by=128,
        )
        token_ids = rng.integers(0, vocab_size, (2, 13), np.int32)
        token_ids[0, [3, 4, 9]] = token_ids[1, 12] = eos_id
        for layer in (0, 2):
            with mock.patch.object(torch.nn, "Embedding", Rows):
                module = modeling.Qwen4ExpTextNGramEmbedding(config, 1024, 0, layer)
            expected = module(torch.from_numpy(token_ids), None)
            yield record_of(
                f"qwen4_exp: {size}-grams of {vocab_size}, layer {layer}",
                "modeling_qwen4_exp.Qwen4ExpTextNGramEmbedding",
                "qwen4_exp",
                settings | {"layer": layer},
                token_ids,
                expected,
            )
    yield decoded_by_qwen4_exp(modeling, Rows)


def decoded_by_qwen4_exp(modeling, table):
    """Rows of parts one after another, of which the first is shorter than the context.

    Transformers has its own cache for the tokens; here, it is the least that does.
    """
    import torch

    class Cache:
        tokens = None

        def get_conv_state(self, layer_idx, state_idx):
            return self.tokens

        def update_conv_state(self, tokens, layer_idx, state_idx, conv_kernel_size):
            if self.tokens is not None:
                tokens = torch.cat([self.tokens, tokens], dim=1)
            self.tokens = tokens[:, -conv_kernel_size:]

    settings = {"num_layers": 1, "vocab_size": 100, "eos_id": 7, "min_rows": 50}
    settings |= {"ngram_size": 4, "heads_per_ngram": 2, "seed": 0}
    config = types.SimpleNamespace(
        ngram_size=4,
        heads_per_ngram=2,
        vocab_size=100,
        ngram_vocab_size_base=50,
        seed=0,
        eos_token_id=7,
        make_ngram_vocab_size_divisible_by=128,
    )
    with mock.patch.object(torch.nn, "Embedding", table):
        module = modeling.Qwen4ExpTextNGramEmbedding(config, 1024, 0, 0)
    parts = [1, 1, 4, 1, 4]
    token_ids = np.random.default_rng(3).integers(0, 100, (2, sum(parts)), np.int32)
    token_ids[0, [4, 7]] = 7
    cache = Cache()
    rows = [
        module(part, cache) for part in torch.from_numpy(token_ids).split(parts, dim=1)
    ]
    record = record_of(
        "qwen4_exp: parts with a cache",
        "modeling_qwen4_exp.Qwen4ExpTextNGramEmbedding",
        "qwen4_exp",
        settings | {"layer": 0},
        token_ids,
        torch.cat(rows, dim=1),
    )
    return record._replace(options=record.options | {"parts": parts})


def blt():
    import torch
    from transformers.models.blt import modeling_blt

    rng = np.random.default_rng(1)
    for num_rows, sizes, functions in (
        (500_002, (3, 4, 5, 6, 7, 8), 1),  # the defaults of its config
        (97, (2,), 11),
        (97, (3, 2), 2),
    ):
        token_ids = rng.integers(0, 260, (2, 14), np.int32)
        rows = []

        def table(ids, rows=rows):
            rows.append(ids)
            return torch.zeros(1)

        encoder = types.SimpleNamespace(embed_tokens=lambda ids: torch.zeros(1))
        modeling_blt.compute_hash_embeddings(
            torch.from_numpy(token_ids).long(),
            encoder,
            table,
            functions,
            list(sizes),
            num_rows,
        )
        yield record_of(
            f"blt: {functions} functions, {num_rows} rows",
            "modeling_blt.compute_hash_embeddings",
            "blt",
            {
                "num_rows": num_rows,
                "ngram_sizes": list(sizes),
                "num_functions": functions,
            },
            token_ids,
            torch.stack(rows, -1),
        )


def canine():
    import torch
    from transformers.models.canine import modeling_canine

    rng = np.random.default_rng(2)
    buckets = modeling_canine.CanineEmbeddings._hash_bucket_tensors
    for num_rows, heads in ((16_384, 8), (1000, 16)):
        token_ids = rng.integers(0, 1_114_112, (2, 9), np.int32)
        token_ids[0, :2] = 0, 1_114_111
        ids = torch.from_numpy(token_ids).long()
        rows = torch.stack(buckets(None, ids, heads, num_rows), -1)
        yield record_of(
            f"canine: {heads} hash functions of {num_rows} rows",
            "modeling_canine.CanineEmbeddings",
            "canine",
            {"num_rows": num_rows, "num_heads": heads},
            token_ids,
            rows + num_rows * torch.arange(heads),
        )
