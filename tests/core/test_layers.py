"""The package's modules: which may import which, and that their names are unique."""

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import scenario_reframe

ROOT = "scenario_reframe"
PACKAGE = Path(scenario_reframe.__file__).parent
# From the top down; a module that is not listed belongs to its package. "" is the root package.
LAYERS = (
    {"__main__", "cli"},
    {""},
    {"client", "async_client", "client_base"},
    {"batch", "drift", "ledger"},
    {"pipeline"},
    {"submitting", "recovery", "second_post", "job_matching", "polling", "uploading", "downloading",
     "part_files", "container", "own_files", "transfer_plan", "run_state"},
    {"api"},
    {"flow", "ledger.interface"},
    {"settings", "video", "result_paths", "credentials"},
    {"arguments"},
    {"errors"},
    {"models"},
    {"redaction"},
    {"timing", "api.sanitize", "secret"},
)  # fmt: skip
APART = "sandbox"  # a separate program, which only the command line starts
LATE = 3  # the layer that the clients load on first use


def name_of(path: Path) -> str:
    """A module's name within the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in PATHS.items()}


def is_within(name: str, package: str) -> bool:
    """Whether a module is this one, or part of this package."""
    return f"{name}.".startswith(f"{package}.")


def layer_of(name: str) -> int:
    """The layer of a module, by the longest name that matches."""
    fitting = [
        (len(package), number)
        for number, layer in enumerate(LAYERS)
        for package in layer
        if name == package or (package and is_within(name, package))
    ]
    return max(fitting)[1]


def imported(module: str, node: ast.AST) -> Iterator[str]:
    """The package's modules that a statement imports."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        package = f"{ROOT}.{module}".split(".")
        if PATHS[module].name != "__init__.py":
            package.pop()
        parents = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*(part for part in parents if part), *filter(None, [node.module])])
        found = [f"{base}.{alias.name}" for alias in node.names]
    else:
        return
    for name in found:
        if is_within(name, ROOT):
            inner = name.removeprefix(ROOT).removeprefix(".")
            yield inner if inner in PATHS else inner.rpartition(".")[0]


def imports_of(module: str) -> set[str]:
    """Everything that a module imports: on loading, later, or only for the type checker."""
    return {name for node in ast.walk(TREES[module]) for name in imported(module, node)} - {module}


def at_once(tree: ast.Module) -> Iterator[ast.AST]:
    """The statements that run when a module loads, without those below `if TYPE_CHECKING`."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from ast.walk(node)


MODULES = [name for name in PATHS if not is_within(name, APART)]
CORE = [name for name in MODULES if name and (layer_of(name) == LATE - 1 or layer_of(name) > LATE)]


def test_imports_are_found() -> None:
    """Every kind of import is: else the other tests would prove nothing."""
    assert {"errors", "models", "batch", "client"} <= imports_of("")
    assert {"api.retry", "flow.steps"} <= imports_of("api.calling")
    assert {"batch.engine", "ledger.store", "credentials"} <= imports_of("client_base")
    assert {"", "sandbox"} <= imports_of("cli.sandbox_commands")
    assert {"pipeline", "recovery", "api.sanitize", "flow.sync_driver"} <= set(CORE)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module: str) -> None:
    """Wherever the import stands: a layer knows nothing of those above it."""
    upwards = {
        name
        for name in imports_of(module)
        if not is_within(name, APART) and layer_of(name) < layer_of(module)
    }
    assert not upwards


def test_no_circles() -> None:
    """Not within a layer either, nor hidden in a function or below `if TYPE_CHECKING`."""
    try:
        TopologicalSorter({name: imports_of(name) for name in PATHS}).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("module", CORE)
def test_core_loads_none_of_the_rest(module: str) -> None:
    """A new client loads neither batches nor a ledger, only the ledger's interface."""
    loaded = {name for node in at_once(TREES[module]) for name in imported(module, node)}
    assert loaded <= set(CORE)


def test_sandbox_stands_apart() -> None:
    """It imports nothing of the client, and only the command line starts it."""
    inside = {name for name in PATHS if is_within(name, APART)}
    assert {found for name in inside for found in imports_of(name)} <= inside
    users = {name for name in MODULES if imports_of(name) & inside}
    assert {name.split(".")[0] for name in users} == {"cli"}


def test_no_two_modules_or_classes_of_one_name() -> None:
    """A name identifies one thing."""
    modules = Counter(name.rpartition(".")[2] for name in PATHS)
    classes = Counter(
        node.name.strip("_")
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert not [name for counts in (modules, classes) for name in counts if counts[name] > 1]
