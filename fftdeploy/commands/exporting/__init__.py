"""What is exported, and where: for `export`, and for what looks whether that is current."""
