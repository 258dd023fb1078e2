"""The record of an evaluation: what recomputes its verdict offline, and no output."""
