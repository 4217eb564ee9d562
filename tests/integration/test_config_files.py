import subprocess
from pathlib import Path
from typing import Any

import pytest
from ray.serve.config import AutoscalingConfig

from deployments.settings import Autoscaling
from serve.app import autoscaling
from serve.config_files import FOLDER, check, read
from serve.settings import AppSettings

FILES = sorted(FOLDER.glob("*.yaml"))


def test_there_are_config_files_to_check() -> None:
    assert {file.stem for file in FILES} == {"demo", "demo-gpu", "production"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_shipped_config_file_is_valid(file: Path) -> None:
    [application] = read(file)["applications"]
    assert application["import_path"] == "serve.app:build"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_app_gives_up_before_ray_and_ray_before_haproxy(file: Path) -> None:
    config = read(file)
    settings = AppSettings.model_validate(config["applications"][0]["args"])
    assert settings.limits.timeout_s < config["http_options"]["request_timeout_s"] < 120


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_stage_lets_at_least_a_batch_in(file: Path) -> None:
    settings = AppSettings.model_validate(read(file)["applications"][0]["args"])
    for stage in (settings.captioner, settings.tagger, settings.retriever, settings.answerer):
        assert stage.scaling.max_ongoing_requests >= stage.batch.max_size


def test_load_is_reported_quickly_where_the_number_of_replicas_follows_it() -> None:
    follows = autoscaling(Autoscaling(min_replicas=1, max_replicas=4, look_back_period_s=5))
    assert (follows["look_back_period_s"], follows["metrics_interval_s"]) == (5, 1)
    fixed = autoscaling(Autoscaling(min_replicas=2, max_replicas=2, look_back_period_s=5))
    assert fixed["metrics_interval_s"] == 10
    assert AutoscalingConfig(**fixed).look_back_period_s > fixed["metrics_interval_s"]


def test_the_demo_on_a_gpu_differs_in_devices_and_in_what_shared_cores_need() -> None:
    plain, gpu = read(FOLDER / "demo.yaml"), read(FOLDER / "demo-gpu.yaml")
    on_cpu, on_gpu = (AppSettings(**c["applications"][0].pop("args")) for c in (plain, gpu))
    assert plain == gpu
    for stage in ("captioner", "tagger", "retriever", "answerer"):
        settings = getattr(on_gpu, stage)
        assert settings.engine.provider == "cuda"
        scaling = settings.scaling.model_copy(update={"num_gpus": 0})
        # On a GPU there is nothing to yield.
        niceness = getattr(on_cpu, stage).batch.niceness
        batch = settings.batch.model_copy(update={"niceness": niceness})
        back = {"engine": getattr(on_cpu, stage).engine, "scaling": scaling, "batch": batch}
        if stage == "answerer":
            back["batch"] = on_cpu.answerer.batch
        assert settings.model_copy(update=back) == getattr(on_cpu, stage)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_make_run_serves_the_config_of_the_machine(kind: str) -> None:
    command = subprocess.run(
        ["make", "--dry-run", "--old-file", f".venv/.installed-{kind}", "run", f"SET={kind}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    name = {"cpu": "demo", "gpu": "demo-gpu"}[kind]
    assert f"--config serve/config/{name}.yaml" in command


@pytest.mark.parametrize(
    "path",
    [
        ["proxy_locations"],
        ["http_options", "prot"],
        ["logging_config", "encodin"],
        ["applications", 0, "import_paths"],
        ["applications", 0, "args", "bundel"],
        ["applications", 0, "args", "captioner", "num_beans"],
        ["applications", 0, "args", "captioner", "scaling", "autoscaling", "max_replica"],
        ["applications", 0, "deployments", 0, "num_replica"],
        ["applications", 0, "deployments", 0, "autoscaling_config", "max_replica"],
        ["applications", 0, "deployments", 0, "ray_actor_options", "num_gpu"],
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_an_unknown_key_is_refused_at_every_level(path: list[Any]) -> None:
    config = read(FOLDER / "demo.yaml")
    config["applications"][0]["deployments"] = [
        {"name": "captioner", "autoscaling_config": {}, "ray_actor_options": {}}
    ]
    check(config)
    place: Any = config
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    place[path[-1]] = 1
    with pytest.raises(ValueError, match=str(path[-1])):
        check(config)


def test_a_value_out_of_bounds_is_refused() -> None:
    config = read(FOLDER / "demo.yaml")
    config["applications"][0]["args"]["limits"] = {"timeout_s": 200}
    with pytest.raises(ValueError, match="timeout_s"):
        check(config)
