"""Position biases of other people's attention, to compare with and to keep."""
