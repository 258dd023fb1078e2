"""What is live, watched: the examples asked, whether it has changed, and what is kept of that.

It may import what lies below `output`; asking models and telling people is for those above.
"""
