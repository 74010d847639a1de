"""Sinusoidal embeddings of positions, grids and coordinates."""
