"""The gate: statistics, set sizes and rules that make a verdict of graded answers."""
