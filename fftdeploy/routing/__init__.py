"""What a running application asks: which model serves a target.

Standard library only until something fails.  It may import `releases`, `policy` and below.
"""
