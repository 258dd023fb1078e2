"""A change held against its base, two versions side by side, and what a scan finds.

It reads files and git and asks no API.  It may import the evaluation and everything below that.
"""
