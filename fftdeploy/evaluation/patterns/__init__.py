"""What a verdict does not say: what changed and why answers fail, counted, with an example each."""
