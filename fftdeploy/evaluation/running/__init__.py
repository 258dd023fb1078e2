"""Runs: requests with stable IDs out, answers in, every one of them kept as it comes."""
