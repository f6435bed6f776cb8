"""`sandbox` and `demo`: what works without an account."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from scenario_reframe import ConfigurationError, InvalidInputError, ReframeClient
from scenario_reframe.result_paths import check_destination
from scenario_reframe.video import VideoFile, open_video

from .exit_codes import UnfinishedJobError
from .flags import DEFAULT_CONNECTION, GivenSettings, check_whole_number
from .output import print_line, print_paths
from .progress import Display, open_display, print_message
from .run_command import Target, default_output, reframe

if TYPE_CHECKING:
    from scenario_reframe.sandbox import Sandbox

_DEMO_SECONDS = 3600.0
_LAST_PORT = 65535


def sandbox(port: int) -> None:
    """Run a local server until Ctrl-C, and print how to use it."""
    check_whole_number(port, "port", 0, _LAST_PORT)
    with _sandbox(port) as server:
        print_line(f"export SCENARIO_BASE_URL={server.base_url}")
        print_line(f"export SCENARIO_API_KEY={server.api_key}")
        print_line(f"export SCENARIO_API_SECRET={server.api_secret}")
        print_message("The sandbox runs until Ctrl-C. Paste the lines above into another terminal.")
        server.wait()


def demo(video: str | None, given: GivenSettings, folder: str) -> None:
    """Reframe a clip on a sandbox of its own, and make a picture of before and after."""
    source = None if video is None else open_video(video)
    check_destination(f"{folder}/", overwrite=True)
    try:
        with _sandbox() as server, open_display() as shown:
            files = _demonstrate(server, source, given, folder, shown)
    except (KeyboardInterrupt, UnfinishedJobError) as stop:
        if isinstance(stop, UnfinishedJobError) and not isinstance(stop.cause, KeyboardInterrupt):
            raise stop.cause from None
        raise KeyboardInterrupt from None  # no advice on resuming: the sandbox has ended
    print_paths(files)


def _demonstrate(
    server: "Sandbox", source: VideoFile | None, given: GivenSettings, folder: str, shown: Display
) -> list[Path]:
    shown.message("A local sandbox does the work: no account, invented prices, no model.")
    shown.message("It fills with the blurred source what the model would imagine.")
    if source is None:
        shown.message("Making a sample clip")
        source = _sample(Path(folder))
    with _client_of(server) as client:
        path = Path(folder, default_output(source, given))
        target = Target(path=str(path), overwrite=True, timeout=_DEMO_SECONDS)
        files = reframe(client, source.path, given, target, shown, DEFAULT_CONNECTION).files
    shown.message("Comparing before and after")
    return [*files, _before_after(source.path, files[0])]


@contextmanager
def _sandbox(port: int = 0) -> "Iterator[Sandbox]":
    with _extra():
        from scenario_reframe.sandbox import Sandbox  # noqa: PLC0415
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Sandbox(port=port))
        except OSError as fault:
            raise InvalidInputError(f"the sandbox cannot start on port {port}: {fault}") from fault
        yield server


@contextmanager
def _client_of(server: "Sandbox") -> Iterator[ReframeClient]:
    """A client that ignores the credentials and proxies of the environment."""
    keys = (server.api_key, server.api_secret)
    with (
        httpx.Client(trust_env=False) as http,
        ReframeClient(*keys, base_url=server.base_url, http_client=http) as client,
    ):
        yield client


def _sample(folder: Path) -> VideoFile:
    from scenario_reframe.sandbox.sample_clip import make_sample  # noqa: PLC0415

    path = folder / "sample.mp4"
    make_sample(path)
    return open_video(path)


def _before_after(source: Path, result: Path) -> Path:
    from scenario_reframe.sandbox.contact_sheet import before_after  # noqa: PLC0415

    picture = result.with_suffix(".png")
    before_after(source, result, picture)
    return picture


@contextmanager
def _extra() -> Iterator[None]:
    """Turn a missing package of the extra `sandbox` into a ConfigurationError."""
    try:
        yield
    except ImportError as fault:
        if (fault.name or "scenario_reframe").startswith("scenario_reframe"):
            raise
        raise ConfigurationError(
            f"the sandbox needs {fault.name}: pip install 'scenario-reframe[sandbox]'"
        ) from fault
