"""The public surface: what can be imported, what it costs, and that both clients agree."""

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import scenario_reframe
from _generate.settings_table import RESERVED
from scenario_reframe import AsyncReframeClient, ReframeClient, ReframeError, errors

PACKAGE = Path(scenario_reframe.__file__).parent
TWINS = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
METHODS = [
    name
    for name, found in vars(ReframeClient).items()
    if inspect.isfunction(found) and (not name.startswith("_") or name in {"__init__", *TWINS})
]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_all_equals_what_can_be_imported() -> None:
    """Every name of `__all__` exists, in order, and the type checker sees the same names."""
    names = scenario_reframe.__all__
    assert names == sorted(set(names))
    assert all(getattr(scenario_reframe, name) is not None for name in names)
    assert set(names) <= set(dir(scenario_reframe))
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(names)


def test_every_error_is_public() -> None:
    """Every error that is raised can be caught by its name."""
    raised = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, ReframeError) and name[0] != "_"
    }
    assert raised <= set(scenario_reframe.__all__)


def test_the_documented_tree_has_every_error() -> None:
    """The tree in the docstring."""
    text = errors.__doc__ or ""
    names = [name for name in scenario_reframe.__all__ if name.endswith("Error")]
    assert all(name in text for name in names)
    assert all(getattr(scenario_reframe, name).__doc__ for name in names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="Nonsense"):
        scenario_reframe.Nonsense  # noqa: B018


def test_import_loads_neither_httpx_nor_the_models() -> None:
    """Nor attrs, nor the generated package, nor any extra."""
    heavy = (
        "'httpx', 'attr', 'attrs', 'scenario_reframe_api', 'json', 'cyclopts', 'starlette', 'av'"
    )
    code = f"import sys, scenario_reframe; print([m for m in ({heavy}) if m in sys.modules])"
    assert run(code) == "[]"


def test_errors_load_without_httpx() -> None:
    """Catching an error does not load the client."""
    code = "import sys; from scenario_reframe import ApiError; print('httpx' in sys.modules)"
    assert run(code) == "False"


def test_client_loads_no_extra() -> None:
    """Nor a database, until a ledger is used."""
    extras = (
        "'cyclopts', 'starlette', 'uvicorn', 'av', 'jsonschema', 'sqlite3', 'platformdirs', "
        "'scenario_reframe.ledger.store', 'scenario_reframe.batch'"
    )
    code = (
        "import sys; from scenario_reframe import ReframeClient; ReframeClient('k', 's').close(); "
        f"print([m for m in ({extras}) if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_generated_package_never_imports_the_wrapper() -> None:
    """Dependencies go one way."""
    folder = Path(import_module("scenario_reframe_api").__file__ or "").parent
    sources = [path.read_text("utf-8") for path in folder.rglob("*.py")]
    assert sources
    assert not [text for text in sources if "scenario_reframe." in text.replace("_api", "")
                and "import scenario_reframe" in text]  # fmt: skip


def test_both_clients_have_the_same_methods() -> None:
    """Name by name, except where asyncio's convention differs."""
    wanted = {TWINS.get(name, name) for name in METHODS}
    found = {
        name
        for name, value in vars(AsyncReframeClient).items()
        if inspect.isfunction(value)
        and (not name.startswith("_") or name in {"__init__", *TWINS.values()})
    }
    assert found == wanted


def plain(annotation: Any) -> str:
    """An annotation without the parts that asyncio adds."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = text.replace("Async", "").replace("collections.abc.", "")
    return text.replace(", None, None]", ", None]")  # a generator's other type arguments


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_have_the_same_parameters(name: str) -> None:
    """Names, kinds, defaults, annotations and results."""
    sync = inspect.signature(getattr(ReframeClient, name))
    twin = inspect.signature(getattr(AsyncReframeClient, TWINS.get(name, name)))
    for one, other in zip(sync.parameters.values(), twin.parameters.values(), strict=True):
        assert (one.name, one.kind, one.default) == (other.name, other.kind, other.default)
        assert plain(one.annotation) == plain(other.annotation)
    assert plain(sync.return_annotation) == plain(twin.return_annotation)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "__init__"])
def test_every_method_of_the_async_client_can_be_awaited(name: str) -> None:
    """Or iterated."""
    twin = getattr(AsyncReframeClient, TWINS.get(name, name))
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)


def test_every_parameter_beside_settings_is_reserved() -> None:
    """A new setting of the vendor's can never shadow an argument, such as `key`."""
    taking = [
        inspect.signature(getattr(ReframeClient, name)).parameters
        for name in METHODS
        if "settings" in inspect.signature(getattr(ReframeClient, name)).parameters
    ]
    assert len(taking) == 3
    assert {name for parameters in taking for name in parameters} <= RESERVED


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("__")])
def test_every_public_method_is_documented(name: str) -> None:
    """The twin by the same first sentence, and a reference to the rest."""
    doc = inspect.getdoc(getattr(ReframeClient, name)) or ""
    twin = inspect.getdoc(getattr(AsyncReframeClient, TWINS.get(name, name))) or ""
    first = re.match(r".+?\.(?=\s|$)", doc)
    assert first
    assert twin.startswith(first[0])
    assert twin == doc or f"See ReframeClient.{name}." in twin


@pytest.mark.parametrize("client", [ReframeClient, AsyncReframeClient])
def test_client_shows_no_credentials(client: Any) -> None:
    """Nor does anything that it holds."""
    made = client("the-key", "the-secret", base_url="https://api.test/v1")
    shown = [repr(made), *(repr(value) for value in vars(made).values())]
    assert "https://api.test/v1" in shown[0]
    assert not [text for text in shown if "the-key" in text or "the-secret" in text]
    assert not [text for text in shown if made._wire.credentials.header[6:] in text]


@pytest.mark.parametrize("client", [ReframeClient, AsyncReframeClient])
@pytest.mark.parametrize(
    "timeout", [0, -1, float("nan"), float("inf"), 1e300, True, "60", None], ids=repr
)
def test_client_refuses_an_invalid_timeout(client: Any, timeout: Any) -> None:
    """Seconds, more than 0 and finite."""
    with pytest.raises(scenario_reframe.ConfigurationError, match="timeout"):
        client("k", "s", timeout=timeout)


@pytest.mark.parametrize("client", [ReframeClient, AsyncReframeClient])
def test_client_names_the_variable_of_missing_credentials(client: Any) -> None:
    """Before any connection is made."""
    with pytest.raises(scenario_reframe.ConfigurationError, match="SCENARIO_API_KEY"):
        client()


@pytest.mark.parametrize("client", [ReframeClient, AsyncReframeClient])
def test_client_refuses_a_base_url_that_is_not_encrypted(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from the environment."""
    monkeypatch.setenv("SCENARIO_BASE_URL", "http://api.test/v1")
    with pytest.raises(scenario_reframe.ConfigurationError, match="https"):
        client("k", "s")


def test_version_agrees_with_the_user_agent() -> None:
    """The installed version is the one sent."""
    from importlib.metadata import version  # noqa: PLC0415

    from scenario_reframe.flow.transport import USER_AGENT  # noqa: PLC0415

    assert USER_AGENT.startswith(f"scenario-reframe/{version('scenario-reframe')} ")


def test_package_is_typed() -> None:
    """Both packages have the marker file that type checkers look for."""
    for name in ("scenario_reframe", "scenario_reframe_api"):
        folder = Path(import_module(name).__file__ or "").parent
        assert (folder / "py.typed").exists()
