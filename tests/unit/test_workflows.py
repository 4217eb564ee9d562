"""What every workflow of GitHub keeps; actionlint (`make lint-workflows`) checks the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.dockerfile import FILE

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yml"))}


def jobs(name: str) -> list[dict[str, Any]]:
    found = list(FILES[name]["jobs"].values())
    assert found
    return found


def test_there_is_one_workflow_for_pushes_and_one_for_tags() -> None:
    assert set(FILES) == {"release", "test"}
    # YAML 1.1 reads the key `on` as true.
    assert FILES["test"][True]["push"] == {"branches": ["**"]}
    assert FILES["release"][True] == {"push": {"tags": ["v*"]}}
    assert "make test" in [step.get("run") for job in jobs("test") for step in job["steps"]]


@pytest.mark.parametrize("name", FILES)
def test_every_job_has_a_time_limit_and_no_rights_that_it_does_not_name(name: str) -> None:
    assert FILES[name]["permissions"] in ({}, {"contents": "read"})
    assert "cancel-in-progress" in FILES[name]["concurrency"]
    for job in jobs(name):
        assert "timeout-minutes" in job or job["uses"].startswith("./")
        if "id-token" in job.get("permissions", {}):
            assert job["needs"]


@pytest.mark.parametrize("name", FILES)
def test_actions_of_others_are_pinned_to_a_commit(name: str) -> None:
    used = [step["uses"] for job in jobs(name) for step in job.get("steps", []) if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)


def test_a_release_builds_every_image_of_the_dockerfile() -> None:
    images = FILES["release"]["jobs"]["images"]["strategy"]["matrix"]["include"]
    titled = re.findall(r"^FROM system AS (\S+)$", FILE.read_text(), re.MULTILINE)
    assert len(titled) == 3
    assert sorted(image["target"] for image in images) == sorted(titled)
    assert len({image["name"] + image["suffix"] for image in images}) == 3
