"""A program that forks after its client was used: parent and child then submit side by side.

Its argument is a JSON object. Each process prints one line with its results.
"""

import json
import os
import sys
from typing import Any

import httpx

from scenario_reframe import ConfigurationError, ReframeClient
from timings import SOON

EACH = 8


def main(order: dict[str, Any]) -> None:
    """Submit, fork, and submit in both."""
    http = httpx.Client() if order["is_given"] else None
    with ReframeClient(**order["client"], timing=SOON, http_client=http) as client:
        client.submit(**order["settings"], prompt="before")
        ready, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # returns when the parent has closed its end
            report(submitted(client, "child", order["settings"]))
            os._exit(0)
        os.close(ready)
        os.close(go)
        result = submitted(client, "parent", order["settings"])
        assert os.waitpid(child, 0)[1] == 0
        report(result)


def submitted(client: ReframeClient, who: str, settings: Any) -> Any:
    """The results of several submits: for each the prompt, the echoed prompt, and the job's id."""
    found = []
    for number in range(EACH):
        prompt = f"{who} {number}"
        try:
            job = client.submit(**settings, prompt=prompt)
        except ConfigurationError as error:
            return {"who": who, "error": str(error)}
        found.append([prompt, job.input["prompt"], job.id])
    return {"who": who, "jobs": found}


def report(result: Any) -> None:
    """Write one line in one piece, since both processes write to the same pipe."""
    os.write(1, json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
