"""Learned grids of positions for images of another size."""
