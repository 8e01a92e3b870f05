"""Files for tests: drops of known producers, and damaged files."""
