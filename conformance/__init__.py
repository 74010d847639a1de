"""attnax against the code that its conventions come from."""
