"""Graders: an output and the agreed answer in, passed or not out."""
