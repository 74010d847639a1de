"""attnax against the rotary embeddings of the installed transformers."""
