"""What the biases share: positions, content, tables and kernels."""
