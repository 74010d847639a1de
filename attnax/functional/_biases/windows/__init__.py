"""Biases by the places of tokens in a grid."""
