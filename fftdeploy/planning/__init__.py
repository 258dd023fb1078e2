"""Facts and a wish to a plan, or a refusal: pure.

Owns plans, the choice of a source and of a way back, and findings.  It may import `policy` and
below.
"""
