"""Tables with a row per token or position, and lookups in them."""
