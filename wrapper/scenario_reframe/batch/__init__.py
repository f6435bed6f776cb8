"""Many clips: one engine that uploads, submits, watches and downloads side by side.

`items` and `planning` describe and check the request; `job_limit` and `watching` decide, without
I/O; `slots` lets items submit, `item_pipeline` is the pipeline of one item, `engine` runs them all,
and `sync_iterator` is for callers without asyncio. The budget is counted from the ledger's rows.
"""

from .items import BatchEvent, BatchItem, BatchOutcome

__all__ = ["BatchEvent", "BatchItem", "BatchOutcome"]
