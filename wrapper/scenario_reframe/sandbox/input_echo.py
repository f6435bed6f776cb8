"""How a job's input is shown: as it was sent, or as a test rewrites it."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal

from scenario_reframe.sandbox.records import SandboxJob

JobView = Literal["submit", "list", "job"]
"""Where a job is shown: in the response to its submit, in the list, or by its id."""

Echo = Callable[[dict[str, Any], JobView], dict[str, Any] | None]
"""Returns what a view shows of a request's body; None shows no input at all."""


def job_text(job: SandboxJob, view: JobView, echo: Echo | None) -> str:
    """The JSON text of a job in a view."""
    if echo is None or job.kind != "custom":
        return job.text()
    shown = job.to_json()
    echoed = echo(deepcopy(job.input), view)
    if echoed is None:
        del shown["metadata"]["input"]
    else:
        shown["metadata"]["input"] = echoed
    return json.dumps(shown)
