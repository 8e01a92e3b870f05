"""A small drop of each producer that is known, in the folders and names that it would write."""
