"""What each command that changes the file shares: the plan, the gate, the question, the write."""
