"""attnax against every rotary embedding of transformers."""
