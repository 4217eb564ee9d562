"""Looking up and downloading through the hub's real client, with all that goes wrong there."""

from pathlib import Path

import pytest
from support.hub import Fault, Hub
from support.repositories import write_repository

from packing.errors import PackingError
from packing.hub import Repository, fetch, look_up
from packing.source import Checkpoint

REPO = "someone/a-captioner"
WEIGHTS = "model.safetensors"


@pytest.fixture
def repository(hub: Hub) -> Repository:
    write_repository(hub.root, REPO)
    return look_up("captioner", Checkpoint(repo=REPO))


def fetched(repository: Repository, name: str = WEIGHTS) -> bytes:
    return fetch(repository, repository.files[name]).read_bytes()


def stored(hub: Hub, name: str = WEIGHTS) -> bytes:
    return (hub.root / REPO / name).read_bytes()


def test_a_branch_or_tag_becomes_a_commit(hub: Hub, repository: Repository) -> None:
    hub.tags["v1"] = "main"
    tagged = look_up("captioner", Checkpoint(repo=REPO, revision="v1"))
    assert tagged.commit == repository.commit == hub.commit(REPO)
    assert (tagged.revision, tagged.licence) == ("v1", "apache-2.0")


def test_small_and_large_files_are_the_hubs(hub: Hub, repository: Repository) -> None:
    assert len(repository.files["config.json"].digest) == 40
    assert len(repository.files[WEIGHTS].digest) == 64
    for name in ("config.json", WEIGHTS):
        assert fetched(repository, name) == stored(hub, name)


def test_what_is_in_the_cache_is_not_asked_again(hub: Hub, repository: Repository) -> None:
    fetched(repository)
    asked = len(hub.asked)
    fetched(repository)
    assert len(hub.asked) == asked


def test_a_cut_download_goes_on_where_it_broke(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    # Bytes of an unfinished chunk are asked again; its own chunks have 10 MB.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.faults.append(Fault(WEIGHTS, cut_at=60_000))
    assert fetched(repository) == stored(hub)
    ranges = [each.range for each in hub.asked if each.origin == "store"]
    assert ranges == [None, "bytes=60000-"]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_busy_or_failing_hub_is_asked_again(
    hub: Hub, repository: Repository, method: str, status: int, name: str
) -> None:
    hub.faults.append(Fault(name, status=status, retry_after_s=0, method=method, times=2))
    assert fetched(repository, name) == stored(hub, name)
    assert hub.faults[0].times == 0


def test_the_look_up_waits_as_long_as_the_hub_asks(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    del repository
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    hub.faults.append(Fault("/revision/main", status=429, retry_after_s=7))
    look_up("captioner", Checkpoint(repo=REPO))
    assert waits == [7.0]


def test_a_hub_that_keeps_failing_is_given_up(hub: Hub, repository: Repository) -> None:
    del repository
    hub.faults.append(Fault("/revision/main", status=500, times=99))
    with pytest.raises(PackingError, match=r"captioner \(.*\): the hub answers 500"):
        look_up("captioner", Checkpoint(repo=REPO))


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_other_bytes_than_announced_are_refused_and_not_kept(
    hub: Hub, repository: Repository, name: str
) -> None:
    hub.faults.append(Fault(name, spoil=True))
    with pytest.raises(PackingError, match=rf"{name} has the hash .* announces"):
        fetched(repository, name)
    assert fetched(repository, name) == stored(hub, name), "the second try starts anew"


def test_the_store_of_large_files_never_sees_the_token(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_repository(hub.root, REPO)
    hub.gated[REPO] = "secret"
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetched(look_up("captioner", Checkpoint(repo=REPO)))
    tokens = {(each.origin, each.authorization) for each in hub.asked}
    assert tokens == {("hub", "Bearer secret"), ("store", None)}


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_gated_repository_says_how_to_open_it(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    hub.gated[REPO] = "secret"
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PackingError, match=r"is gated: accept its terms .* HF_TOKEN"):
        fetched(repository)


@pytest.mark.parametrize(
    ("checkpoint", "line"),
    [
        ({"repo": "someone/nothing"}, "is not on the hub under this name"),
        ({"repo": REPO, "revision": "v9"}, "no branch, tag or commit v9"),
        ({"repo": REPO, "revision": "0" * 40}, "no branch, tag or commit 0000"),
    ],
)
def test_what_is_not_there_is_named(
    hub: Hub, repository: Repository, checkpoint: dict[str, str], line: str
) -> None:
    del hub, repository
    with pytest.raises(PackingError, match=line):
        look_up("captioner", Checkpoint(**checkpoint))


def test_without_a_network_the_line_names_the_hub(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    del repository
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PackingError, match=r"cannot be reached at http://127.0.0.1:9"):
        look_up("captioner", Checkpoint(repo=REPO))


def test_offline_the_cache_answers_with_hashes(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    for name in repository.files:
        fetched(repository, name)
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = look_up("captioner", Checkpoint(repo=REPO, revision=repository.commit))
    assert (again.commit, again.files, again.licence) == (
        repository.commit,
        repository.files,
        repository.licence,
    )
    assert fetched(again) == stored(hub)
    assert len(hub.asked) == asked


def test_offline_a_file_that_changed_in_the_cache_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    fetched(repository, "config.json")
    place = fetch(repository, repository.files[WEIGHTS])
    Path(place).write_bytes(b"other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = look_up("captioner", Checkpoint(repo=REPO, revision=repository.commit))
    with pytest.raises(PackingError, match="has the hash"):
        fetched(again)


def test_offline_what_was_never_downloaded_is_named(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PackingError, match="not in the cache, and HF_HUB_OFFLINE is set"):
        look_up("captioner", Checkpoint(repo=REPO))
    assert not hub.asked
