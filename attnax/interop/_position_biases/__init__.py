"""Position biases of models from their `config.json`.

The public function is in `api`. It finds the parts of a config that have position
biases (`parts`) and the rules of their model types (`families`, `found`), which say
which layers have which bias, and which tensors of a checkpoint hold its parameters
(`stack`). `vocabulary` holds every key that is known. `unread` refuses keys that would
be ignored. The record that the user gets is in `record`.
"""
