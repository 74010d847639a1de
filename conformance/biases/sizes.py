"""The sizes of most of the tiny models."""

BATCH = 2
HEADS, HEAD_DIM = 3, 4
WIDTH = HEADS * HEAD_DIM
