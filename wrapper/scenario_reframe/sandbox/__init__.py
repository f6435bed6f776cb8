"""A local server that speaks the vendor's API and really reframes video, for use offline.

`Sandbox` runs it. It needs the extra `sandbox`: pip install 'scenario-reframe[sandbox]'.
"""

try:
    import av  # noqa: F401 - imported one by one, so that the error names the missing one
    import jsonschema  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"The sandbox needs {error.name}: pip install 'scenario-reframe[sandbox]'", name=error.name
    ) from error

from scenario_reframe.sandbox.fault_rules import Faults
from scenario_reframe.sandbox.records import MadeJob
from scenario_reframe.sandbox.server import Sandbox
from scenario_reframe.sandbox.web_app import RequestRecord

__all__ = ["Faults", "MadeJob", "RequestRecord", "Sandbox"]
