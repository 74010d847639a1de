"""Programs of any library, timed in turns."""
