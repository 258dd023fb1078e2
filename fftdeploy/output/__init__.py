"""Results as a terminal, Markdown, GitHub, JSON, HTML or JUnit show them.

The only Rich, and the only printing.  It takes values by their types and knows no command.
"""
