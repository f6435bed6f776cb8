"""Read and check requests as the vendor does, in its words, by the spec and nothing else."""

import json
import secrets
from functools import cache
from importlib import resources
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

# The vendor's gateway takes about 10 MB.
_LONGEST_BODY: Final = 10 * 1024 * 1024
_LARGEST_PAGE: Final = 100
_KINDS: Final = {
    "integer": "a number",
    "number": "a number",
    "string": "a string",
    "boolean": "a boolean",
    "object": "of type object",
}


class RefusedError(HTTPException):
    """A request that is answered with a status, the vendor's `reason` and perhaps `details`."""

    def __init__(
        self, reason: str, status_code: int = 400, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(status_code, reason)
        self.details = details


def reply(body: dict[str, Any], status: int = 200) -> Response:
    """Answer with JSON, in ASCII, so that any text a request brought can be echoed."""
    return Response(json.dumps(body), status, media_type="application/json")


def refusal(status: int, reason: str, details: dict[str, Any] | None = None) -> Response:
    """Answer with the vendor's shape of an error."""
    told = {"reason": reason, "trace_id": secrets.token_hex(8)}
    return reply(told if details is None else told | {"details": details}, status)


async def read_object(request: Request, schema: str) -> dict[str, Any]:
    """Read a request's JSON object and check it against one of the spec's schemas.

    Raises RefusedError with 400, 413 or 415.
    """
    value = await read_json(request)
    check(value, schema)
    checked: dict[str, Any] = value
    return checked


async def read_json(request: Request) -> Any:
    """Read a request's JSON, whatever it is. Raises RefusedError with 400, 413 or 415."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError("Content-Type must be application/json", 415)
    return _parsed(await _body(request))


def check(value: Any, schema: str) -> None:
    """Raise RefusedError unless a value is what one of the spec's schemas wants."""
    reasons = [reason_of(error) for error in _validator(schema).iter_errors(value)]
    if reasons:
        raise RefusedError(". ".join(reasons))


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise RefusedError("Request Too Long", 413)
    except ClientDisconnect as error:
        raise RefusedError("The request was cut off") from error
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RefusedError("The request's body is not valid JSON") from error


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


@cache
def components() -> dict[str, Any]:
    """The spec's own components. Not to be changed."""
    text = resources.files("scenario_reframe_api").joinpath("openapi.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)["components"]
    return found


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": components()}
    )


def reason_of(error: ValidationError) -> str:
    """Say what is wrong with one value, as the vendor's validator (joi, by its wording) does."""
    name = ".".join(str(part) for part in error.absolute_path) or "value"
    limit: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "required":
            name = next(key for key in limit if key not in value)
            rule = "is required"
        case "type":
            rule = f"must be {_kind(limit, value)}"
        case "enum":
            rule = f"must be one of [{', '.join(map(str, limit))}]"
        case "minimum":
            rule = f"must be greater than or equal to {limit}"
        case "maximum":
            rule = f"must be less than or equal to {limit}"
        case "minLength":
            rule = f"length must be at least {limit} characters long"
        case "maxLength":
            rule = f"length must be less than or equal to {limit} characters long"
        case _:
            rule = "is invalid"
    return f'"{name}" {rule}'


def _kind(kind: str, value: Any) -> str:
    if kind == "integer" and isinstance(value, float):
        return "an integer"
    return _KINDS.get(kind, kind)


def page_size(query: QueryParams) -> int:
    """Read `pageSize`, 1 to 100 and 50 by default."""
    text = query.get("pageSize", "50")
    if not (text.isascii() and text.isdigit()):
        raise RefusedError('"pageSize" must be a number')
    # Whatever has more digits than the limit is over it; int() refuses to read 5,000 digits.
    size = int(text[:9])
    if size < 1:
        raise RefusedError('"pageSize" must be greater than or equal to 1')
    if size > _LARGEST_PAGE:
        raise RefusedError(f'"pageSize" must be less than or equal to {_LARGEST_PAGE}')
    return size
