"""TOML and JSON text to values, each fault with its place: pure.

The only `tomllib`.  It may import the ground: `errors`, `names`, `times`.
"""
