"""Tensors of checkpoints to parameters, and back."""
