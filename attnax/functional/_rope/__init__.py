"""Rotary embeddings: frequencies, the record that holds them, and the rotation."""
