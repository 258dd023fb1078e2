"""What may be said to each command; light enough for its help. Imports what is declared, only."""
