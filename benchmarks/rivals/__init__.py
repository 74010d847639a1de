"""What attnax is measured against."""
