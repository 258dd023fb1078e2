"""Review: answers that a person judges become agreed ones, an example at a time."""
