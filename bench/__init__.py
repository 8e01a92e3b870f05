"""Scripts that measure or reckon, and print."""
