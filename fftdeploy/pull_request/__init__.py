"""A change held against its base, what differs between two versions, and what a scan finds.

It reads files and git and asks no API.  It may import the evaluation and everything below that.
"""
