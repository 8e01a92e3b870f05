"""The command line: one file for each group of commands, on top of the same steps as the functions."""
