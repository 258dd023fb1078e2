"""Logs of production held against an earlier window: counts, tests, and what they mean.

It may import what `monitoring` may.
"""
