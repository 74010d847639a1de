"""Embeddings from checkpoints, and back."""
