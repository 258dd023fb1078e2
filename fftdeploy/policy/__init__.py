"""`fftdeploy.toml` and `profiles/` as frozen values, and what they say: pure.

It may import `releases` and below.
"""
