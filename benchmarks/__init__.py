"""Speed and memory against transformers, each module a command that prints a table."""
