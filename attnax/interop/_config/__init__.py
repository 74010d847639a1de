"""Rotary embeddings of models from their `config.json`."""
