"""Read requests, and check them by the spec, with the vendor's messages."""

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

# The vendor's gateway accepts about 10 MB.
_LONGEST_BODY: Final = 10 * 1024 * 1024
_LARGEST_PAGE: Final = 100
_TYPE_WORDS: Final = {
    "integer": "a number",
    "number": "a number",
    "string": "a string",
    "boolean": "a boolean",
    "object": "of type object",
}


class RequestRefusedError(HTTPException):
    """A refused request: its status, the vendor's `reason`, and perhaps `details`."""

    def __init__(
        self, reason: str, status_code: int = 400, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(status_code, reason)
        self.details = details


def json_response(body: dict[str, Any], status: int = 200) -> Response:
    """Build a JSON response, in ASCII, so that any text of a request can be echoed."""
    return Response(json.dumps(body), status, media_type="application/json")


def error_response(status: int, reason: str, details: dict[str, Any] | None = None) -> Response:
    """Build an error response in the vendor's format."""
    body = {"reason": reason, "trace_id": secrets.token_hex(8)}
    return json_response(body if details is None else body | {"details": details}, status)


async def read_object(request: Request, schema: str) -> dict[str, Any]:
    """Read a request's JSON object and check it against one of the spec's schemas.

    Raises RequestRefusedError with 400, 413 or 415.
    """
    value = await read_json(request)
    check(value, schema)
    checked: dict[str, Any] = value
    return checked


async def read_json(request: Request) -> Any:
    """Read a request's JSON, whatever it is. Raises RequestRefusedError with 400, 413 or 415."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestRefusedError("Content-Type must be application/json", 415)
    return _parsed(await _body(request))


def check(value: Any, schema: str) -> None:
    """Raise RequestRefusedError unless a value is what one of the spec's schemas wants."""
    reasons = [reason_of(error) for error in _validator(schema).iter_errors(value)]
    if reasons:
        raise RequestRefusedError(". ".join(reasons))


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise RequestRefusedError("Request Too Long", 413)
    except ClientDisconnect as error:
        raise RequestRefusedError("The request was cut off") from error
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError) as error:
        raise RequestRefusedError("The request's body is not valid JSON") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _finite_float(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


@cache
def components() -> dict[str, Any]:
    """The spec's components; the caller must not change them."""
    text = resources.files("scenario_reframe_api").joinpath("openapi.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)["components"]
    return found


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": components()}
    )


def reason_of(error: ValidationError) -> str:
    """Word a validation error as the vendor's validator does (joi, by its wording)."""
    name = ".".join(str(part) for part in error.absolute_path) or "value"
    limit: Any = error.validator_value
    value: Any = error.instance
    match error.validator:
        case "required":
            name = next(key for key in limit if key not in value)
            rule = "is required"
        case "type":
            rule = f"must be {_type_words(limit, value)}"
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


def _type_words(kind: str, value: Any) -> str:
    if kind == "integer" and isinstance(value, float):
        return "an integer"
    return _TYPE_WORDS.get(kind, kind)


def page_size(query: QueryParams) -> int:
    """Parse `pageSize`: 1 to 100, 50 by default."""
    text = query.get("pageSize", "50")
    if not (text.isascii() and text.isdigit()):
        raise RequestRefusedError('"pageSize" must be a number')
    # Nine digits are enough to exceed the limit; int() refuses to read 5,000 of them.
    size = int(text[:9])
    if size < 1:
        raise RequestRefusedError('"pageSize" must be greater than or equal to 1')
    if size > _LARGEST_PAGE:
        raise RequestRefusedError(f'"pageSize" must be less than or equal to {_LARGEST_PAGE}')
    return size
