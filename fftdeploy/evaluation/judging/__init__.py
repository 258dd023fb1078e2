"""Model judges: what they are asked, one question an answer, and people's labels beside theirs."""
