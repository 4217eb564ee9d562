"""Each bad input is refused with one sentence that names the key and the fix."""

import re
from functools import cache
from typing import Any

import pytest
from support.chart_rendering import CHART, refusal, render

REFUSAL = re.compile(r'fail \(?(?:printf )?"((?:[^"\\]|\\.)*)"')

INCREMENTAL = {
    "ray.upgradeStrategy": {
        "type": "NewClusterWithIncrementalUpgrade",
        "maxSurgePercent": 50,
        "stepSizePercent": 10,
        "intervalSeconds": 30,
        "gatewayClassName": "envoy",
        "gatewayService": {"name": "gateway", "port": 80},
    }
}


def incremental(**changes: Any) -> dict[str, Any]:
    return {"ray.upgradeStrategy": INCREMENTAL["ray.upgradeStrategy"] | changes}


GPU_GROUP = {"ray.workerGroups.gpu": {"gpu": {"count": 1, "memoryBytes": 24_000_000_000}}}


def on_gpu(**stage: Any) -> dict[str, Any]:
    values = {f"stages.captioner.{key}": value for key, value in stage.items()}
    return {**GPU_GROUP, "stages.captioner.workerGroup": "gpu", **values}


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a typo at the top": ({"stage": {}}, ["additional properties 'stage' not allowed"]),
    "a typo in a stage": (
        {"stages.captioner.numGpu": 1},
        ["/stages/captioner", "additional properties 'numGpu' not allowed"],
    ),
    "a typo deep in a stage": (
        {"stages.tagger.engine": {"providr": "cuda"}},
        ["/stages/tagger/engine", "'providr' not allowed"],
    ),
    "a typo in a worker group": (
        {"ray.workerGroups.cpu.maxReplica": 3},
        ["/ray/workerGroups/cpu", "'maxReplica' not allowed"],
    ),
    "a stage that does not exist": ({"stages.painter": {}}, ["'painter' not allowed"]),
    "a key of the API among the values": (
        {"stages.answerer.openai": {"apiKey": "sk-1"}},
        ["'apiKey' not allowed"],
    ),
    "a key in the environment": (
        {"ray.environment.OPENAI_API_KEY": "sk-1"},
        ["ray.environment.OPENAI_API_KEY:", "put it into a Secret"],
    ),
    "a key in the environment of a group": (
        {"ray.workerGroups.cpu": {"environment": {"HF_TOKEN": "hf-1"}}},
        ["ray.workerGroups.cpu.environment.HF_TOKEN:"],
    ),
    "more embeddings than may wait": (
        {"app.limits": {"maxEmbeddings": 65}},
        ["app.limits.maxEmbeddings:", "stages.retriever.batch.maxWaiting"],
    ),
    "a number out of the app's bounds": (
        {"stages.captioner.numBeams": 99},
        ["/stages/captioner/numBeams", "maximum"],
    ),
    "a text where a number belongs": (
        {"ray.workerDefaults.maxReplicas": "many"},
        ["maxReplicas", "want integer"],
    ),
    "a tag that moves": ({"image.tag": "latest"}, ["image.tag:", "never moved"]),
    "no tag": ({"image.tag": ""}, ["image.tag:", "image.digest"]),
    "a digest that is none": ({"image.digest": "sha256:abc"}, ["image.digest:"]),
    "a stage in no worker group": (
        {"stages.tagger.workerGroup": "gpx"},
        ["stages.tagger.workerGroup:", '"gpx"', "ray.workerGroups: cpu."],
    ),
    "a GPU stage on a group without GPUs": (
        {"stages.tagger.numGpus": 0.5},
        ["stages.tagger.numGpus:", "ray.workerGroups.cpu.gpu.count"],
    ),
    "more GPUs than a worker has": (on_gpu(numGpus=2), ["stages.captioner.numGpus:", "has 1"]),
    "one GPU and a half": (
        {**on_gpu(numGpus=1.5), "ray.workerGroups.gpu": {"gpu": {"count": 2}}},
        ["stages.captioner.numGpus:", "whole number"],
    ),
    "an engine on a GPU that is not reserved": (
        on_gpu(engine={"provider": "cuda"}),
        ["stages.captioner.numGpus:", "engine.provider"],
    ),
    "replicas that would not fit into a GPU's memory": (
        on_gpu(numGpus=0.25, engine={"gpuMemoryBytes": 8_000_000_000}),
        ["stages.captioner.engine.gpuMemoryBytes:", "8000000000"],
    ),
    "more CPUs than a worker gives": (
        {"stages.tagger.numCpus": 9},
        ["stages.tagger.numCpus:", "ray.workerGroups.cpu.numCpus"],
    ),
    "more replicas than nodes may hold": (
        {"stages.tagger.maxReplicasPerNode": 1, "stages.tagger.autoscaling.maxReplicas": 5},
        ["stages.tagger.maxReplicasPerNode:", "ray.workerGroups.cpu.maxReplicas"],
    ),
    "least replicas that do not fit": (
        {"stages.tagger.autoscaling": {"minReplicas": 60, "maxReplicas": 60}},
        ["ray.workerGroups.cpu.maxReplicas:", "CPUs"],
    ),
    "least GPU replicas that do not fit": (
        on_gpu(numGpus=1, autoscaling={"minReplicas": 5, "maxReplicas": 5}),
        ["ray.workerGroups.gpu.maxReplicas:", "GPUs"],
    ),
    "a target above what a replica takes": (
        {"stages.tagger.autoscaling.targetOngoingRequests": 33},
        ["stages.tagger.autoscaling.targetOngoingRequests:", "maxOngoingRequests"],
    ),
    "more least than most replicas": (
        {"stages.tagger.autoscaling.minReplicas": 5},
        ["stages.tagger.autoscaling.minReplicas:"],
    ),
    "more least than most workers": (
        {"ray.workerGroups.cpu.minReplicas": 5},
        ["ray.workerGroups.cpu.minReplicas:"],
    ),
    "a group's name that labels do not take": (
        {"ray.workerGroups.GPU_1": {}},
        ["ray.workerGroups.GPU_1:"],
    ),
    "a group that is called like the head's": (
        {"ray.workerGroups.headgroup": {}},
        ["ray.workerGroups.headgroup:"],
    ),
    "a group's name that is too long": (
        {"ray.workerGroups.a-group-with-a-long-name": {}},
        ["20 characters"],
    ),
    "a percentage as a disruption budget": (
        {"ray.workerDefaults.minAvailable": "50%"},
        ["/ray/workerDefaults", "minAvailable", "integer"],
    ),
    "a budget that leaves none to evict": (
        {"ray.workerGroups.cpu.minAvailable": 1},
        ["ray.workerGroups.cpu.minAvailable:", "less than minReplicas"],
    ),
    "too large a surge": (incremental(maxSurgePercent=101), ["maxSurgePercent:", "1 to 100"]),
    "no surge": (incremental(maxSurgePercent=0), ["maxSurgePercent:", "1 to 100"]),
    "a step above the surge": (
        incremental(stepSizePercent=60),
        ["stepSizePercent:", "maxSurgePercent (50)"],
    ),
    "no time between steps": (incremental(intervalSeconds=0), ["intervalSeconds:", "1 or more"]),
    "no class of Gateway": (incremental(gatewayClassName=""), ["gatewayClassName:"]),
    "no Service of the Gateway": (
        incremental(gatewayService={"name": "", "port": 80}),
        ["gatewayService.name:", "tests.enabled"],
    ),
    "an unknown strategy": (incremental(type="Rolling"), ["/ray/upgradeStrategy/type"]),
    "a grace period shorter than the drain": (
        {"ray.drain.terminationGracePeriodSeconds": 50},
        ["ray.drain.terminationGracePeriodSeconds:", "make 60"],
    ),
    "a drain shorter than a stage's": (
        {"stages.answerer.gracefulShutdownTimeoutS": 80},
        ["ray.drain.timeoutSeconds:", "stages.answerer.gracefulShutdownTimeoutS"],
    ),
    "a drain shorter than Serve's own": (
        {"ray.drain.timeoutSeconds": 34},
        ["ray.drain.timeoutSeconds:", "ingress"],
    ),
    "a drain shorter than a request": (
        {"app.limits": {"timeoutS": 60}},
        ["ray.drain.timeoutSeconds:", "app.limits.timeoutS"],
    ),
    "an old cluster that goes before its requests": (
        {"ray.clusterDeletionDelaySeconds": 10},
        ["ray.clusterDeletionDelaySeconds:"],
    ),
    "an Ingress without a host": ({"ingress.enabled": True}, ["ingress.hosts:"]),
    "a route without a Gateway": ({"httpRoute.enabled": True}, ["httpRoute.parentRefs:"]),
    "two monitors of one thing": (
        {"metrics.podMonitor.enabled": True, "metrics.serviceMonitor.enabled": True},
        ["metrics.serviceMonitor.enabled:", "count twice"],
    ),
    "fault tolerance without Redis": (
        {"ray.gcsFaultTolerance.enabled": True},
        ["ray.gcsFaultTolerance.redisAddress:"],
    ),
    "a token that nobody asks for": (
        {"ray.auth": {"enabled": False, "existingSecret": "token"}},
        ["ray.auth.existingSecret:"],
    ),
    "authentication that one process lacks": (
        {"ray.environment": {"RAY_AUTH_MODE": "disabled"}},
        ["ray.environment.RAY_AUTH_MODE:", "ray.auth.enabled"],
    ),
    "an old Ray": ({"ray.version": "2.40.0"}, ["ray.version:", "2.53"]),
    "a cache that the download cannot write": (
        {"modelCache.enabled": True, "modelCache.accessModes": ["ReadOnlyMany"]},
        ["modelCache.accessModes:", "ReadWriteMany"],
    ),
    "a load test whose image is any": (
        {"loadTest.enabled": True, "loadTest.image.tag": "latest"},
        ["loadTest.image.tag:", "loadTest.image.digest"],
    ),
    "a load test with a long name": (
        {"loadTest.enabled": True, "fullnameOverride": "a" * 46},
        ["loadTest.enabled:", "46 characters", "45", "fullnameOverride"],
    ),
    "more workers than users": (
        {"loadTest.enabled": True, "loadTest.users": 1},
        ["loadTest.workers: 2", "loadTest.users"],
    ),
    "answers of the demo from another bundle": (
        {"loadTest.enabled": True, "app.bundle": "/models/mine.yaml"},
        ["loadTest.anyAnswer: /models/mine.yaml", "loadTest.photos"],
    ),
    "a shape that does not exist": (
        {"loadTest.shape": "stairs"},
        ["/loadTest/shape", "'step'"],
    ),
    "a label that the chart owns": (
        {"commonLabels": {"app.kubernetes.io/name": "mine"}},
        ["commonLabels:", "app.kubernetes.io/name"],
    ),
}


@cache
def said_to(case: str) -> str:
    """Return the words with which helm refuses a case."""
    return refusal(REFUSED[case][0])


@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused_in_words_that_name_key_and_fix(case: str) -> None:
    said = said_to(case)
    assert [word for word in REFUSED[case][1] if word not in said] == [], said


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("1admirer", ["fullnameOverride:", "start with a letter"]),
        ("a" * 53, ["fullnameOverride:", "61 characters", "47"]),
    ],
)
def test_a_release_name_that_rayservice_would_refuse_is_refused(
    release: str, words: list[str]
) -> None:
    said = refusal({}, release=release)
    assert [word for word in words if word not in said] == [], said


def test_a_name_of_47_characters_is_accepted() -> None:
    assert render(values={"fullnameOverride": "a" * 47})


def test_the_incremental_values_are_accepted_before_they_are_spoilt() -> None:
    assert render(values=INCREMENTAL)
    assert render(values=on_gpu(numGpus=0.25, engine={"gpuMemoryBytes": 6_000_000_000}))


def refusals() -> list[str]:
    """Return the text of every refusal in the templates, its %s and the like included."""
    files = sorted((CHART / "templates").glob("_validation*.tpl"))
    found = [text for file in files for text in REFUSAL.findall(file.read_text())]
    assert len(found) > 30
    return found


def test_every_refusal_is_one_sentence_that_begins_with_a_key() -> None:
    sentence = re.compile(r"(%s|[\w.-]+)(\.[%\w]+)*: [^\n]+\.")
    assert [text for text in refusals() if not sentence.fullmatch(text) or ". " in text] == []


def test_every_refusal_is_met_by_a_case() -> None:
    met = "\n".join(
        [*map(said_to, REFUSED), refusal({}, release="1a"), refusal({}, release="a" * 53)]
    )
    # Secrets are looked for in a cluster: see charts/admirer/tests/validate_test.yaml.
    offline = [text for text in refusals() if "Secret %q" not in text]
    patterns = {text: re.sub(r"%[a-z]", ".*", re.escape(text)) for text in offline}
    assert [text for text, pattern in patterns.items() if not re.search(pattern, met)] == []
