"""Arguments of functions as released models have them."""
