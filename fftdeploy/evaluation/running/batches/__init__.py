"""Carries a run out by batches, the provider's own queue: in files, within a day, for less."""
