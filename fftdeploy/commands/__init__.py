"""Carries each command out: one file a command, options in, a typed result out.

It knows no Typer, no Rich and no stream: what is to be said on the way goes to a `Console`.  It
imports from `output` the results' common ground, and from everything below.
"""
