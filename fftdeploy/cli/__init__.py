"""The command line: one short function a command, and the one place that exits."""
