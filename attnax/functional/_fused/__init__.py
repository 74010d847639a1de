"""Several tables in one array, embeddings of layers, and tables of 8-bit numbers."""
