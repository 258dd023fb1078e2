"""The only door to the API: requests go out through the openai client, `Answer`s come back.

The clients are of our own configuration: no redirects, no retries, no environment proxies that we
have not named, bodies capped and read as strict JSON, and a deadline that holds for the whole
request.  No type or exception of the SDK leaves this package, so that no chained traceback can
carry the key.  Importing it does not import `openai`; constructing a connection does.
`AsyncConnection` is in a module of its own: `asyncio` has its price too.
"""
