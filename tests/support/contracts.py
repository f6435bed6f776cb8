"""Checks requests and mocked replies of the contract tests against the spec.

It is stricter than the spec in one point: an object may have declared properties only, unless its
schema sets `additionalProperties` itself. So neither the client nor a mock can use other names
than the spec's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from clients import BASE_URL

SPEC: Final = Path(__file__).parents[2] / "spec" / "openapi.yaml"
BASES: Final = (BASE_URL, "https://env.test/v7")
"""The API's base URLs in contract tests. Every other address is a file host's."""


@cache
def load_spec() -> dict[str, Any]:
    """The spec; callers must not change it."""
    spec: dict[str, Any] = YAML(typ="safe").load(SPEC)
    return spec


class Contract:
    """Finds what is wrong with requests and replies, by an OpenAPI 3.1 document."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        self._components = _closed(spec["components"])

    def request_faults(self, request: httpx.Request) -> list[str]:
        """What breaks the spec in a request; for a file host, only credentials are a fault."""
        path = _api_path(request)
        if path is None:
            return ["credentials for a file's host"] if "Authorization" in request.headers else []
        operation = self._operation(request.method, path)
        if operation is None:
            return ["no such operation"]
        return [
            *self._credential_faults(request),
            *self._query_faults(operation, request.url.params),
            *self._sent_body_faults(operation, request),
        ]

    def reply_faults(self, request: httpx.Request, reply: httpx.Response) -> list[str]:
        """What breaks the spec in a reply; a file host's reply has no faults."""
        path = _api_path(request)
        operation = None if path is None else self._operation(request.method, path)
        if operation is None:
            return []
        replies = operation["responses"]
        status = str(reply.status_code)
        # The spec's `default` describes an error: it does not stand for a 2xx or a 3xx.
        other = replies.get("default") if reply.is_error else None
        documented = replies.get(status) or replies.get(f"{status[0]}XX") or other
        if documented is None:
            return [f"status {status} is not documented"]
        kind = reply.headers.get("Content-Type", "application/json")
        try:
            return self._body_faults(self._resolved(documented), kind, reply.content)
        except httpx.ResponseNotRead:
            return ["a body that is a stream cannot be checked"]

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation at a path; a path without parameters is preferred."""
        for template in sorted(self._spec["paths"], key=lambda template: "{" in template):
            literal = map(re.escape, re.split(r"\{\w+\}", template))
            item = self._spec["paths"][template]
            if method.lower() in item and re.fullmatch("[^/]+".join(literal), path):
                operation: dict[str, Any] = item[method.lower()]
                return operation
        return None

    def _credential_faults(self, request: httpx.Request) -> Iterator[str]:
        if not request.headers.get("Authorization", "").startswith("Basic "):
            yield "no basic credentials"

    def _query_faults(
        self, operation: Mapping[str, Any], query: httpx.QueryParams
    ) -> Iterator[str]:
        parameters = map(self._resolved, operation.get("parameters", ()))
        known = {one["name"]: one for one in parameters if one["in"] == "query"}
        for name in query:
            if name not in known:
                yield f"query parameter {name} is not in the spec"
            elif len(query.get_list(name)) > 1:
                yield f"query parameter {name} is there twice"
            else:
                schema = known[name]["schema"]
                faults = self._schema_faults(schema, _from_query(query[name], schema))
                yield from (f"query parameter {name}: {fault}" for fault in faults)
        for name, one in known.items():
            if one.get("required") and name not in query:
                yield f"query parameter {name} is missing"

    def _sent_body_faults(self, operation: Mapping[str, Any], request: httpx.Request) -> list[str]:
        if "requestBody" not in operation:
            return ["a body where the spec has none"] if request.content else []
        kind = request.headers.get("Content-Type", "")
        return self._body_faults(operation["requestBody"], kind, request.content)

    def _body_faults(self, described: Mapping[str, Any], kind: str, content: bytes) -> list[str]:
        """What is wrong with a body, by the part of the spec that holds its `content`."""
        kind = kind.partition(";")[0]
        if kind not in described["content"]:
            return [f"Content-Type {kind!r} is not in the spec"]
        try:
            value = json.loads(content, parse_constant=_refuse)
            return self._schema_faults(described["content"][kind]["schema"], value)
        except (ValueError, RecursionError) as fault:
            return [f"the body is no JSON: {fault}"]

    def _schema_faults(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        validator = Draft202012Validator({**_closed(schema), "components": self._components})
        return [
            f"{error.json_path}: {error.message:.200}" for error in validator.iter_errors(value)
        ]

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """The node, or the component that its `$ref` points to."""
        found: Any = node
        if "$ref" in found:
            found = self._spec
            for key in node["$ref"].removeprefix("#/").split("/"):
                found = found[key]
        return found  # type: ignore[no-any-return]


def _closed(node: Any) -> Any:
    """A copy of schemas that allows declared properties only."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: _closed(value) for key, value in node.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _api_path(request: httpx.Request) -> str | None:
    """The path below the API's base, percent-encoded; None for a file host."""
    address = str(request.url).partition("?")[0]
    for base in BASES:
        if address.startswith(f"{base}/"):
            return address.removeprefix(base)
    return None


def _from_query(text: str, schema: Mapping[str, Any]) -> Any:
    """A query's text, converted to its schema's type if possible."""
    if schema.get("type") == "integer" and text.isascii() and text.isdigit():
        return int(text)
    return (
        {"true": True, "false": False}.get(text, text) if schema.get("type") == "boolean" else text
    )


def _refuse(name: str) -> float:
    """JSON has no NaN and no Infinity, though Python reads them."""
    raise ValueError(name)
