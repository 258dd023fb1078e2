"""Results shown to people and programs; the only part that prints."""
