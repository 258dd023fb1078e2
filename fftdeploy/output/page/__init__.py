"""The report of one evaluation as a page: one file that opens from disk and asks for nothing."""
