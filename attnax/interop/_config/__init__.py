"""Rotary embeddings of models from their `config.json`.

The public functions are in `rope`. They find the part of a config that is meant
(`parts`, `chosen_part`) and the rules of its model type (`context`, `families`), read
its RoPE parameters by these rules (`schemas`), and make the rope of each layer
(`layer_ropes`, `one_rope`, `methods`). `vocabulary` holds every key that is known.
`unread` and `wrong_keys` refuse keys that would be ignored.
"""
