"""How a host is asked, and what its answers prove.

Nobody below `client` raises what an SDK raises.  It may import `files`, `model_ids`,
`formats` and below.
"""
