"""Whether a candidate may ship: examples, graders, runs, the gate and its evidence.

It may import `workspace` and below; what it shows is made by `output`.
"""
