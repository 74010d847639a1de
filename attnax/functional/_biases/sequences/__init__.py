"""Biases by the distances of tokens in a sequence."""
