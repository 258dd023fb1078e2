"""The command line: what a person types and reads.

The only Typer, and the one place that exits.  It may import everything below it.
"""
