"""Models whose code lies beside their weights and not in transformers."""
