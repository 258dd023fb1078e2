"""Answers a running application: which model serves a target, and by which client.

Standard library only until something fails or a client is asked for.  It may import `policy`,
`api` and below, and for a log what `evaluation` reads logs with.
"""
