"""Positions of text, images and videos against the code of transformers."""
