"""How a job's input is shown: as it was sent, or as a test has it rewritten."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal

from scenario_reframe.sandbox.records import SandboxJob

EchoPlace = Literal["submit", "list", "job"]
"""Where a job is shown: in the reply to its submit, in the list, or by its id."""

Echo = Callable[[dict[str, Any], EchoPlace], dict[str, Any] | None]
"""Gives what is shown of a request's body at a place, None for no input at all."""


def shown_text(job: SandboxJob, place: EchoPlace, echo: Echo | None) -> str:
    """A job's record as JSON, as it is shown at a place."""
    if echo is None or job.kind != "custom":
        return job.text()
    record = job.record()
    given = echo(deepcopy(job.input), place)
    if given is None:
        del record["metadata"]["input"]
    else:
        record["metadata"]["input"] = given
    return json.dumps(record)
