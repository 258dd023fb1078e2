"""The only door to the API: requests go out over one of two clients, `Answer`s come back.

`connection` knows the questions.  `sdk` carries them over openai, for proofs, lists, jobs and
batches; `plain` over aiohttp, for an evaluation, whose loop takes a third of the CPU and need not
import the SDK.  What goes out is decided in `outgoing` and what is let in in `incoming`, for both:
no redirects, no retries, no environment proxies that we have not named, bodies capped and read as
strict JSON, and a deadline that holds for the whole request.  No type or exception of a client
leaves this package, so that no chained traceback can carry the key.  Either client is imported
when a connection is made, never before.
"""
