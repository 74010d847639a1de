"""Gradients and updates of the rows of tables that a step reads."""
