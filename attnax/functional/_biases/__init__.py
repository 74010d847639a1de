"""Position biases of attention: scores by distance, and what a query adds to them."""
