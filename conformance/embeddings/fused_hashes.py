"""Models whose tokens have rows in several hashed tables: CANINE and BLT."""

from .checkpoint_models import WIDTH, drawn
from .fused_codebooks import DTYPES, drawn_codes, fused_record, rounded_each

BUCKETS, STEPS = 11, 9


def hashes():
    for dtype in DTYPES:
        yield _canine(dtype)
        yield _blt(dtype)


def _canine(dtype):
    import torch
    from transformers import CanineConfig
    from transformers.models.canine.modeling_canine import CanineEmbeddings

    config = CanineConfig(
        hidden_size=WIDTH, num_hash_functions=3, num_hash_buckets=BUCKETS
    )
    model = drawn(CanineEmbeddings(config)).to(getattr(torch, dtype))
    sizes = {"num_hashes": 3, "num_buckets": BUCKETS}
    codes = drawn_codes(2, STEPS, end=100_000)
    expected = model._embed_hash_buckets(codes, WIDTH, **sizes)
    weights = [
        getattr(model, f"HashBucketCodepointEmbedder_{k}").weight for k in range(3)
    ]
    ids = torch.stack(model._hash_bucket_tensors(codes, **sizes), dim=-1)
    name = type(model).__name__
    return fused_record(name, weights, ids, expected, dtype, combine="concatenate")


def _blt(dtype):
    import torch
    from transformers.models.blt import modeling_blt as blt

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed_tokens = torch.nn.Embedding(260, WIDTH)

    sizes, functions = [3, 4], 2
    table = torch.nn.Embedding(BUCKETS * len(sizes) * functions, WIDTH)
    encoder, table = drawn(Encoder()), drawn(table)
    encoder, table = (m.to(getattr(torch, dtype)) for m in (encoder, table))
    tokens, rows = drawn_codes(2, STEPS, end=260), []
    handle = table.register_forward_pre_hook(lambda m, args: rows.append(args[0]))
    expected = blt.compute_hash_embeddings(
        tokens, encoder, table, functions, sizes, BUCKETS
    )
    handle.remove()
    # The table of bytes is the first; each row they read is in the table of its hash.
    ids = [tokens, *(row - k * BUCKETS for k, row in enumerate(rows))]
    weights = [encoder.embed_tokens.weight, *table.weight.split(BUCKETS)]
    ids, name = torch.stack(ids, dim=-1), "compute_hash_embeddings of BLT"
    return fused_record(name, weights, ids, expected, dtype, **rounded_each(dtype))
