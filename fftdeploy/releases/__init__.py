"""`deployments.toml` as frozen values, and its edit, text to text: pure.

The only tomlkit.  It may import `formats` and below.
"""
