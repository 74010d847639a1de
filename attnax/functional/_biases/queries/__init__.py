"""Biases that read queries and keys beside positions."""
