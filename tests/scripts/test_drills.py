"""The vendor changes the model: after one edit of the YAML and one command, everything follows."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from drills import PACKAGE, Spec, Tree, names_of, right, rounds, sent, settings_of, wrong

pytestmark = pytest.mark.any_python

# Names that the vendor would not use.
NEW = {
    "testMotion": {
        "type": "string",
        "enum": ["still", "pan"],
        "default": "still",
        "description": "How the camera moves.",
    },
    "testSharpness": {
        "type": "integer",
        "minimum": 1,
        "maximum": 5,
        "description": "How sharp it is.",
    },
    "testAudio": {"type": "boolean", "default": False, "description": "Keep the sound."},
    "testMask": {
        "type": "string",
        "x-input": "asset",
        "description": "What to keep, as the id of an asset.",
    },
}
LOGS = {
    "operationId": "getJobLogs",
    "tags": ["jobs"],
    "parameters": [{"$ref": "#/components/parameters/JobId"}],
    "responses": {
        "200": {
            "description": "What was logged.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobLogs"}}},
        }
    },
}
PAUSED = "pending, queued, paused, warming-up"


def added(spec: Spec) -> None:
    """Four settings, a response field, a job status, and an operation."""
    settings_of(spec).update(NEW)
    schemas = spec["components"]["schemas"]
    record = schemas["JobRecord"]["properties"]
    record["queuePlace"] = {"type": "number", "description": "Jobs before it."}
    record["status"]["description"] = PAUSED
    schemas["JobLogs"] = {"type": "object", "properties": {"text": {"type": "string"}}}
    spec["paths"]["/jobs/{jobId}/logs"] = {"get": LOGS}


def changed(spec: Spec) -> None:
    """A new name, new defaults, narrower bounds, and more choices."""
    settings = settings_of(spec)
    settings["samplingSteps"] = settings.pop("numInferenceSteps")
    settings["samplingSteps"]["default"] = 25
    settings["guidanceScale"]["default"] = 7
    settings["numFrames"]["default"] = 98
    settings["framesPerSecond"].update(minimum=8, maximum=24, default=12)
    settings["aspectRatio"].update(default="1:1")
    settings["aspectRatio"]["enum"].append("4:3")
    settings["resolution"]["enum"].append("1080p")
    settings["videoQuality"]["enum"].append("lossless")
    settings["seed"]["maximum"] = 255


def removed(spec: Spec) -> None:
    """Every old setting is removed; a new one is added, since a model needs at least one."""
    settings = settings_of(spec)
    for wire in names_of(spec):
        del settings[wire]
    settings["testSharpness"] = NEW["testSharpness"]


def puzzling(spec: Spec) -> None:
    """Choices whose meaning the sandbox cannot know."""
    settings_of(spec)["resolution"]["enum"] += ["native", "4k"]
    settings_of(spec)["aspectRatio"]["enum"] += ["source", "2.39:1"]


DRILLS: dict[Callable[[Spec], None], str] = {
    added: """
from scenario_reframe import ReframeClient
from scenario_reframe_api.api.jobs import get_job_logs
from scenario_reframe_api.models import JobLogs, JobRecord
from scenario_reframe_api.types import Unset
def call(client: ReframeClient, record: JobRecord, logs: JobLogs) -> float | Unset:
    client.submit(test_motion="pan", test_sharpness=3, test_audio=True, test_mask="asset_1")
    client.submit(test_motion="spin")  # wrong
    client.submit(test_sharpness="3")  # wrong
    client.submit(test_audio="yes")  # wrong
    client.submit(test_mask=5)  # wrong
    record.queue_plaice  # wrong
    text: str | Unset = logs.text
    get_job_logs.asyncio(text)  # wrong
    return record.queue_place
""",
    changed: """
from scenario_reframe import ReframeClient
def call(client: ReframeClient) -> None:
    client.submit(sampling_steps=3, aspect_ratio="4:3", resolution="1080p")
    client.estimate(num_inference_steps=3)  # wrong
    client.submit(aspect_ratio="4:5")  # wrong
""",
    removed: """
from scenario_reframe import ReframeClient
def call(client: ReframeClient) -> None:
    client.submit(test_sharpness=2)
    client.submit(guidance_scale=5)  # wrong
    client.reframe("clip.mp4", zoom_factor=0.5)  # wrong
""",
}


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Spec], None]], Tree]:
    """A copy of the project after an edit of the YAML and one command."""
    types = tmp_path_factory.mktemp("types")

    @cache
    def drill(edit: Callable[[Spec], None]) -> Tree:
        tree = Tree.copied(tmp_path_factory.mktemp(edit.__name__), types)
        tree.edit(edit)
        done = tree.generate()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return tree

    return drill


Drill = Callable[[Callable[[Spec], None]], Tree]
after_each = pytest.mark.parametrize("edit", DRILLS, ids=lambda edit: edit.__name__)


@after_each
def test_one_command_does_it_all_and_touches_nothing_else(
    drilled: Drill, edit: Callable[[Spec], None]
) -> None:
    """`--check` agrees; only the spec, generated files and the README have changed."""
    tree = drilled(edit)
    done = tree.generate("--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    files = tree.changed()
    assert {"README.md", "spec/openapi.yaml", f"{PACKAGE}/settings.py"} < files
    others = {name for name in files if not name.startswith(f"{PACKAGE}/")}
    assert others == {"README.md", "spec/openapi.yaml"}


@after_each
def test_types_follow_for_callers_and_the_project_itself_is_still_sound(
    drilled: Drill, edit: Callable[[Spec], None]
) -> None:
    """Strict mypy finds a caller's errors where they should be, and none in the wrapper."""
    caller = DRILLS[edit]
    marked = {number for number, line in enumerate(caller.splitlines(), 1) if "# wrong" in line}
    assert drilled(edit).type_errors(caller) == (marked, "")


@after_each
def test_validation_flags_sandbox_and_table_follow(
    drilled: Drill, edit: Callable[[Spec], None]
) -> None:
    """All of them accept every value that the YAML allows, and no other."""
    tree = drilled(edit)
    schemas, names = settings_of(tree.spec()), names_of(tree.spec())
    good = rounds({wire: right(schemas[wire]) for wire in names})
    bad = rounds({wire: wrong(schemas[wire]) for wire in names})
    named = [{names[wire]: value for wire, value in row.items()} for row in good]
    told = tree.run_part("settings", right=named, wrong=[sent(row, schemas, names) for row in bad])
    for row, answer in zip(good, told["accepted"], strict=True):
        assert row.items() <= answer["echoed"].items()
        assert answer["shell"] == 0, answer["output"]
    for row, answer in zip(bad, told["refused"], strict=True):
        assert [text.split(":")[0] for text in answer["library"]] == [names[wire] for wire in row]
        status, body = answer["sandbox"]
        assert (status, sorted(body)) == (400, ["reason", "trace_id"])
        assert re.findall(r'"(\w+)" (?:must|length)', body["reason"]) == list(row)
        for wire in sent(row, schemas, names)["typed"]:
            assert f"--{wire.replace('_', '-')}: " in answer["output"]
        assert answer["shell"] == (2 if sent(row, schemas, names)["typed"] else 0)
    assert list(tree.table()) == list(names.values())
    flags = {f"--{name.replace('_', '-')}" for name in names.values()}
    assert flags <= set(re.findall(r"--[\w-]+", told["help"]))


@pytest.mark.parametrize(
    ("edit", "name", "row"),
    [
        (added, "test_motion", "str | `still` | `still`, `pan` | How the camera moves."),
        (added, "test_sharpness", "int |  | 1 to 5 | How sharp it is."),
        (added, "test_audio", "bool | `False` |  | Keep the sound."),
        (added, "test_mask", "str |  |  | What to keep, as the id of an asset."),
        (changed, "guidance_scale", "float | `7` | 1 to 10 | How closely to follow the prompt."),
        (changed, "sampling_steps", "int | `25` | 2 to 50 |"),
        (changed, "frames_per_second", "float | `12` | 8 to 24 |"),
        (changed, "aspect_ratio", "str | `1:1` | `auto`, `16:9`, `1:1`, `9:16`, `4:3` |"),
    ],
)
def test_table_and_help_agree_with_the_yaml(
    drilled: Drill, edit: Callable[[Spec], None], name: str, row: str
) -> None:
    """Type, default, what is allowed, and what it does."""
    tree = drilled(edit)
    assert tree.table()[name].startswith(f"| `{name}` | {row}")
    _, default, allowed, about = (cell.strip().replace("`", "") for cell in row.split(" |")[:4])
    told = tree.run_part("settings", right=[], wrong=[])["help"]
    shown = " ".join(re.sub("[─│╭╮╰╯]", " ", told).split())
    flag = name.replace("_", "-")
    mine = re.split(rf" --{flag} (?:--no-{flag} )?", shown)[1].split(" --")[0]
    assert about in mine
    assert not allowed or f"Allowed: {allowed}." in mine
    assert not default or f"Default: {default}." in mine


def test_new_settings_are_in_the_model_s_description(drilled: Drill) -> None:
    """In the vendor's types, of which there is none for integers and one for assets."""
    types = drilled(added).run_part("model")
    assert [types[wire] for wire in NEW] == ["string", "number", "boolean", "file"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"resolution": "720p"}, [720, 720, 98, 12]),
        ({"resolution": "1080p", "aspect_ratio": "4:3"}, [1440, 1080, 98, 12]),
    ],
)
def test_a_new_default_and_a_new_choice_show_in_the_result(
    drilled: Drill, given: dict[str, Any], wanted: list[int]
) -> None:
    """Width, height, frames and rate follow the new spec."""
    settings = {
        "seed": 1, "match_input_num_frames": False, "match_input_frames_per_second": False, **given
    }  # fmt: skip
    assert drilled(changed).run_part("result", settings=settings) == wanted


def test_removed_names_are_refused_with_a_hint(drilled: Drill) -> None:
    """A setting's old name, and the name of a removed setting."""
    gone = {"named": {"num_inference_steps": 5}, "wire": {}, "typed": {}}
    (answer,) = drilled(changed).run_part("settings", right=[], wrong=[gone])["refused"]
    assert answer["library"][0].startswith("num_inference_steps: no such setting")
    lost = {"named": {"zoom_factor": 0.5}, "wire": {}, "typed": {"zoom_factor": 0.5}}
    (answer,) = drilled(removed).run_part("settings", right=[], wrong=[lost])["refused"]
    assert answer["library"][0].startswith(
        "zoom_factor: no such setting; there are test_sharpness."
    )
    assert answer["shell"] == 2


def test_newer_replies_reach_the_caller(drilled: Drill) -> None:
    """A new status is not final, a new field is in `raw`; an operation not served is 404."""
    newer = {"status": "paused", "queuePlace": 3}
    told = drilled(added).run_part("replies", job=newer, path="/jobs/job_1/logs")
    assert [(job["status"], job["done"]) for job in told["seen"]] == [
        ("paused", False),
        ("success", True),
    ]
    assert told["seen"][0]["raw"]["queuePlace"] == 3
    assert told["end"] == "success"
    status, body = told["answer"]
    assert (status, sorted(body)) == (404, ["reason", "trace_id"])


def test_a_seed_is_drawn_within_its_bounds(drilled: Drill) -> None:
    """The server accepts the client's own seeds."""
    assert drilled(changed).run_part("seeds")["refused"] == []


def test_choices_that_mean_nothing_to_the_sandbox_do_not_break_it(drilled: Drill) -> None:
    """It cannot know what they do, but still makes a video."""
    tree = drilled(puzzling)
    for given in ({"resolution": "native"}, {"resolution": "4k"}, {"aspect_ratio": "source"}):
        assert tree.run_part("price", settings=given)[0] == 269
    assert tree.run_part("price", settings={"aspect_ratio": "2.39:1"})[0] == 269


def test_the_demo_makes_its_video_without_the_settings_that_it_would_give(drilled: Drill) -> None:
    """On the engine that makes real videos: the sample, and a result of 81 frames."""
    told = drilled(removed).run_part("demo")
    assert told["code"] == 0, told["output"]
    assert [1280, 720, 81] in told["sizes"]
