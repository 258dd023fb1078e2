"""JSON Schemas (draft 2020-12) of the two TOML files and of what commands print."""
