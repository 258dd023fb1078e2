"""Examples: files of agreed answers, read, checked, reviewed and compared with training files."""
