"""What the chart writes into serveConfigV2 is what the app reads."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema
from support.chart_rendering import CHART, one, render, value_sets

from deployments.settings import AnswererSettings, Price, Scaling
from serve import config_files
from serve.cli.ray_environment import environment
from serve.settings import AppSettings
from tools import chart_values

SETS = value_sets()


def serve_config(*arguments: Any, **options: Any) -> dict[str, Any]:
    service = one(render(*arguments, **options), "RayService")
    config: dict[str, Any] = yaml.safe_load(service["spec"]["serveConfigV2"])
    return config


@pytest.mark.parametrize("name", SETS)
def test_the_app_and_ray_accept_the_config_of_every_values_file(name: str) -> None:
    config = serve_config(SETS[name])
    config_files.check(config)
    settings = AppSettings.model_validate(config["applications"][0]["args"])
    schema = ServeDeploySchema.model_validate(config)
    assert len(schema.applications[0].deployments) == 6
    assert (schema.http_options.request_timeout_s or 0) > settings.limits.timeout_s


@pytest.mark.parametrize("name", SETS)
def test_overrides_repeat_what_the_settings_reserve(name: str) -> None:
    application = serve_config(SETS[name])["applications"][0]
    settings = AppSettings.model_validate(application["args"])
    for override in application["deployments"]:
        stage = getattr(settings, override["name"])
        scaling = stage if isinstance(stage, Scaling) else stage.scaling
        options = override["ray_actor_options"]
        assert (options["num_cpus"], options["num_gpus"]) == (scaling.num_cpus, scaling.num_gpus)


def test_every_setting_can_be_set_by_its_camel_case_name() -> None:
    price = Price(prompt_dollars_per_million=0.25, completion_dollars_per_million=2)
    settings = AppSettings(answerer=AnswererSettings(prices={"Gpt-5-mini": price}))
    wanted = settings.model_dump(mode="json", exclude_none=True)
    values: dict[str, Any] = {}
    for path, value in leaves(wanted):
        stage, *rest = path
        names = [chart_values.camel(name) for name in rest if name != "scaling"]
        place = ["stages", stage] if stage in chart_values.DEPLOYMENTS else ["app"]
        names = names if stage in chart_values.DEPLOYMENTS else [chart_values.camel(stage), *names]
        values[".".join([*place, *names])] = value
    assert len(values) > 80
    args = serve_config(values=values)["applications"][0]["args"]
    assert args == wanted


def leaves(
    tree: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def test_large_whole_numbers_stay_whole() -> None:
    values = {"stages.captioner.engine": {"gpuMemoryBytes": 48_000_000_000}}
    engine = serve_config(values=values)["applications"][0]["args"]["captioner"]["engine"]
    assert engine == {"gpu_memory_bytes": 48_000_000_000}


def test_the_template_knows_the_keys_of_scaling_and_placement() -> None:
    assert keys_of("scalingKeys") == sorted(map(chart_values.camel, Scaling.model_fields))
    assert keys_of("placementKeys") == sorted(chart_values.PLACEMENT)


def keys_of(helper: str) -> list[str]:
    text = (CHART / "templates" / "_serve.tpl").read_text()
    _, _, after = text.partition(f'define "admirer.{helper}" -}}}}')
    return sorted(after.partition("{{")[0].split())


def test_no_two_settings_of_a_stage_share_a_name() -> None:
    for stage in chart_values.DEPLOYMENTS[1:]:
        shape = AppSettings.model_fields[stage].annotation
        assert isinstance(shape, type)
        assert issubclass(shape, BaseModel)
        own = {chart_values.camel(name) for name in shape.model_fields}
        assert not own & {*map(chart_values.camel, Scaling.model_fields), *chart_values.PLACEMENT}


def test_every_ray_process_has_the_environment_of_the_transport() -> None:
    cluster = one(render(), "RayService")["spec"]["rayClusterConfig"]
    wanted = environment("haproxy")
    # KubeRay sets these two. A Service outside needs Ray's own 30 s to take note of a stop.
    for name in ("AUTH_MODE", "AUTH_TOKEN", "SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"):
        del wanted[f"RAY_{name}"]
    # One app runs in a pod: fixed ports, by which two of them are scraped.
    del wanted["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"]
    wanted |= {
        "RAY_SERVE_HAPROXY_METRICS_PORT": "9101",
        "RAY_SERVE_HAPROXY_STATS_PORT": "8404",
    }
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        container = group["template"]["spec"]["containers"][0]
        found = {item["name"]: item.get("value") for item in container["env"]}
        assert wanted.items() <= found.items()


def test_the_default_transport_has_none_of_its_variables() -> None:
    manifests = render(values={"ray.transport": "default"})
    assert "HAPROXY" not in manifests
    assert "HA_PROXY" not in manifests
    assert "THROUGHPUT" not in manifests
