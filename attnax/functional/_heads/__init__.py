"""Losses and decoding by a table of tokens, without the logits of all tokens."""
