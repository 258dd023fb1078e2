"""Tells what is known about a model without asking: the parts of its ID, its dates by a table.

It may import `formats` and below.
"""
