"""What `status`, `check` and `diff` find out about targets before anything is shown."""
