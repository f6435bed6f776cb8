"""What `doctor` finds: its lines and exit code, and what a reply or an error means. No I/O."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import httpx
from attrs import frozen

from scenario_reframe.api.json_values import http_date
from scenario_reframe.drift.vendor_settings import Change
from scenario_reframe.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ReframeError,
    ServerError,
)
from scenario_reframe.flow.connection_faults import ConnectionFault, causes_of, explain, is_tls
from scenario_reframe.flow.steps import Reply

from .exit_codes import REFUSED
from .output import one_line

Status = Literal["ok", "warn", "fail", "skip"]

UPGRADE = "pip install --upgrade scenario-reframe"
_KEYS = "Project Settings, API Keys"
_MOST_SKEW = 60.0  # seconds
_MOST_LATENCY = 5.0  # seconds
_MOST_CHANGES = 5
_NAME_WIDTH = 13
_SERVER_ERROR = 500
_LOGIN_REQUIRED = 511  # RFC 6585: of a network, not of a server
_IN_THE_WAY = (
    "check the base URL; if it is right, a proxy or a login page is in the way: open it in a "
    "browser, log in to the network, then try again"
)
_CHECK_PROXY = "check HTTPS_PROXY, ALL_PROXY and NO_PROXY"
_OTHER_FAULTS: tuple[tuple[type[BaseException], ConnectionFault], ...] = (
    (
        httpx.TimeoutException,
        ConnectionFault("no reply in time", "check the network and its firewall, or try later"),
    ),
    (
        httpx.RemoteProtocolError,
        ConnectionFault(
            "it closes the connection, or does not speak HTTP", "check the base URL, or try later"
        ),
    ),
)


@frozen
class Finding:
    """The result of one check. `code`: the command's exit code if it failed."""

    name: str
    status: Status
    message: str
    advice: str = ""
    code: int = 1

    def line(self) -> str:
        """The finding for people."""
        advice = f"; {one_line(self.advice)}" if self.advice else ""
        return f"{self.status:<4} {self.name:<{_NAME_WIDTH}} {one_line(self.message)}{advice}"

    def to_json(self) -> dict[str, Any]:
        """The finding in the output of `--json`."""
        return {
            "name": self.name,
            "status": self.status,
            "message": one_line(self.message),
            "advice": one_line(self.advice) or None,
        }


def exit_code(findings: Iterable[Finding]) -> int:
    """The code of the first failure, else 0; warnings do not count."""
    return next((finding.code for finding in findings if finding.status == "fail"), 0)


def with_skipped(names: Sequence[str], found: Iterable[Finding]) -> list[Finding]:
    """The findings, and a skipped one for each check that was not reached."""
    done = list(found)
    known = {finding.name for finding in done}
    cause = next((finding.name for finding in done if finding.status in {"fail", "skip"}), "")
    return done + [
        Finding(name, "skip", f"not checked, because of {cause}")
        for name in names
        if name not in known
    ]


def unreachable(
    base_url: str, error: BaseException | None, proxy: str | None = None, issuer: str | None = None
) -> Finding:
    """Why no reply came. Never the error's own text, which may hold a proxy's password.

    `proxy`: the one that was used. `issuer`: who signed a certificate that is not trusted.
    """
    fault = explain(error) or _other_fault(error)
    reason, advice = fault.reason, fault.remedy
    if issuer:
        reason += f" (it names its issuer {issuer!r})"
    if proxy and isinstance(error, httpx.ConnectError) and not is_tls(error):
        reason = f"the proxy {proxy} cannot be reached: {reason}"
        advice = _CHECK_PROXY
    elif proxy:
        reason = f"through the proxy {proxy}: {reason}"
    return Finding("server", "fail", f"{base_url}: {reason}", advice, REFUSED)


def refused(name: str, error: ReframeError, reply: Reply) -> Finding:
    """What a reply means that is an error or cannot be parsed."""
    is_page = reply.content.lstrip().startswith(b"<")
    if is_page and (reply.status < _SERVER_ERROR or reply.status == _LOGIN_REQUIRED):
        message = f"the server answered {reply.status} with a page of HTML instead of JSON"
        return Finding(name, "fail", message, _IN_THE_WAY, REFUSED)
    if not isinstance(error, ApiError):
        return Finding(name, "fail", str(error), _IN_THE_WAY, REFUSED)
    reason = f": {error.reason}" if error.reason else ""
    message = f"the server answered {error.status_code}{reason}"
    return Finding(name, "fail", message, _advice(error), REFUSED)


def latency(seconds: float) -> Finding:
    """How long one call took, opening the connection included."""
    message = f"{seconds * 1000:.0f} ms for one call, connecting included"
    if seconds <= _MOST_LATENCY:
        return Finding("latency", "ok", message)
    return Finding("latency", "warn", message, "check the network, and any proxy")


def clock(date: str | None, here: datetime) -> Finding:
    """The server's clock (an HTTP date) compared with this machine's.

    Never a failure: the look-up of lost jobs uses the server's clock.
    """
    there = http_date(date)
    if there is None:
        return Finding("clock", "skip", "the server's reply has no date")
    ahead = (here - there).total_seconds()
    if abs(ahead) <= _MOST_SKEW:
        return Finding("clock", "ok", f"within {_MOST_SKEW:.0f} s of the server's")
    side = "ahead of" if ahead > 0 else "behind"
    message = f"this clock is {abs(ahead):,.0f} s {side} the server's"
    return Finding("clock", "warn", message, "set the clock; lost jobs are found all the same")


def inputs(changes: Sequence[Change]) -> Finding:
    """The live model's inputs compared with those that this version knows."""
    if not changes:
        return Finding("inputs", "ok", "the model's inputs are those that this version knows")
    ordered = sorted(changes, key=lambda change: change.breaks != "yes")
    texts = [f"{change.setting}: {change.kind}, {change.why}" for change in ordered]
    if len(texts) > _MOST_CHANGES:
        texts = [*texts[:_MOST_CHANGES], f"{len(texts) - _MOST_CHANGES} more"]
    differ = "1 difference" if len(changes) == 1 else f"{len(changes)} differences"
    return Finding(
        "inputs",
        "fail" if ordered[0].breaks == "yes" else "warn",
        f"{differ} between the model and this version ({'; '.join(texts)})",
        f"scripts/drift --live --apply in a checkout, else {UPGRADE}",
    )


def _advice(error: ApiError) -> str:
    """What to do about an error reply."""
    match error:
        case AuthenticationError():
            return f"the key or the secret is wrong: see {_KEYS}, in Scenario"
        case PermissionDeniedError():
            return "the key is known, but its project (SCENARIO_PROJECT_ID) or plan is not allowed"
        case NotFoundError():
            return "check the base URL, with its /v1, and the project (SCENARIO_PROJECT_ID)"
        case RateLimitedError():
            return "wait a while, then try again"
        case ServerError():
            return "the server or its gateway failed: try later"
    return _IN_THE_WAY if 300 <= error.status_code < 400 else "check the base URL"  # noqa: PLR2004


def _other_fault(error: BaseException | None) -> ConnectionFault:
    """What is known of an error that is not explained."""
    for kind, fault in _OTHER_FAULTS:
        if any(isinstance(cause, kind) for cause in causes_of(error)):
            return fault
    return ConnectionFault(
        f"no complete reply came ({type(error).__name__})",
        "check the network and the base URL, or try later",
    )
