"""Readers of the files that hold the tensors of a checkpoint."""
