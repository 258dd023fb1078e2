"""Answers a running application: which model serves a target.

Standard library only until something fails.  It may import `releases`, `policy` and below.
"""
