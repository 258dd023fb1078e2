"""Telling people what `monitor` has found: a file for Prometheus, a webhook, an issue a target.

It may import `output` and below.  Nothing here decides how a run ends.
"""
