"""The input of whole text and vision models."""
