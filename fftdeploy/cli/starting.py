"""The commands that need no file yet: init, schema, sandbox, demo."""
