import pytest

from deployments.errors import ModelNotReady
from deployments.health import ModelHealth


def fail(message: str) -> None:
    raise RuntimeError(message)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: device-side assert triggered",
        "Non-zero status code: CUDA failure 700: an illegal memory access ; GPU=0",
    ],
)
def test_a_replica_that_has_lost_its_gpu_stays_unhealthy(message: str) -> None:
    health = ModelHealth()
    with pytest.raises(RuntimeError, match="CUDA"):
        health.watch(fail)(message)
    assert health.watch(len)("next") == 4
    with pytest.raises(ModelNotReady):
        health.check()


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "CUDA failure 2: out of memory ; GPU=0",
        "expected 3 channels, got 4",
    ],
)
def test_an_error_that_the_next_run_may_not_have_leaves_a_replica_healthy(message: str) -> None:
    health = ModelHealth()
    with pytest.raises(RuntimeError):
        health.watch(fail)(message)
    health.check()
