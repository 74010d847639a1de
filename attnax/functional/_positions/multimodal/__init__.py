"""Positions of sequences of text, images and videos, which have three coordinates."""
