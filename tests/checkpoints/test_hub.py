"""Models by name, from a hub that misbehaves: what is said, what is kept, and that nothing broken is used.

`pytest -s` prints the table of faults and messages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from helpers.hub_server import (
    FakeHub,
    answer,
    change_a_byte,
    cut_short,
    hang_up,
    refuse,
    send,
    send_another_part,
    slowly,
    without_length,
)
from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CheckpointError, MusicGen
from musicgen_edu.checkpoints import hub, locate, read_codec

NAME, SHARDED, WEIGHTS = "facebook/musicgen-small", "someone/sharded", "model.safetensors"
PAGE = b"<!DOCTYPE html><html>Welcome to the hotel</html>"
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def fetch(name: str = NAME, **options) -> Path:
    return hub.fetch(name, progress=False, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    torch.manual_seed(0)
    model = their_musicgen()
    whole = save_musicgen(model, tmp_path_factory.mktemp("whole"))
    sharded = save_musicgen(model, tmp_path_factory.mktemp("sharded"))
    (sharded / WEIGHTS).unlink()
    model.save_pretrained(sharded, max_shard_size="60KB")
    (whole / "pytorch_model.bin").write_bytes(b"a pickle, which must never be fetched")
    return {NAME: whole, SHARDED: sharded}


@pytest.fixture(scope="module")
def running():
    fake = FakeHub()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def server(running, folders, tmp_path, monkeypatch):
    """A hub that behaves, and an empty cache, with short waits."""
    running.reset(folders)
    monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "WAITS", (0.01, 0.01, 0.01))
    monkeypatch.setattr(hub, "tqdm", Bar)
    return running


@pytest.fixture(scope="module")
def said():
    """Expect a failure: one sentence with the words asked for; all of them are printed at the end."""
    table: dict[str, str] = {}

    def expect(fault: str, words: str, name: str = NAME, call: Callable = fetch, **options) -> None:
        with pytest.raises(CheckpointError, match=words) as caught:
            call(name, **options)
        table[fault] = str(caught.value)
        assert "\n" not in table[fault]
        assert table[fault].startswith(name) or call is not fetch
        assert len(table[fault].replace(constants.HF_HUB_CACHE, "")) < 330

    yield expect
    print("\n\n| fault | message |\n|---|---|", *(f"| {fault} | {text} |" for fault, text in table.items()), sep="\n")


def parts(tmp_path: Path) -> list[int]:
    """The lengths of what is kept of broken downloads."""
    return [path.stat().st_size for path in (tmp_path / "cache").glob("models--*/musicgen_edu/*.part")]


def check_cache(tmp_path: Path, server: FakeHub) -> None:
    """Whatever is to be seen in the cache has the right bytes."""
    assert not list((tmp_path / "cache").rglob("*.incomplete"))
    for path in (tmp_path / "cache").glob("models--*/snapshots/*/*"):
        name = path.parents[2].name.removeprefix("models--").replace("--", "/")
        assert not path.exists() or path.read_bytes() == server.files[name][path.name]


class Bar:
    """A progress bar that wants to end where it should."""

    def __init__(self, total: int, **_):
        self.left = total

    def update(self, count: int) -> None:
        self.left -= count

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        assert kind or self.left == 0


# What goes well.


def test_only_what_is_needed_is_fetched_and_each_file_once(server):
    folder = fetch()
    assert {path.name for path in folder.iterdir()} == set(server.files[NAME]) - {"pytorch_model.bin"}
    assert all(server.sent(path.name) == path.stat().st_size for path in folder.iterdir())
    assert not server.asked("pytorch_model.bin")
    server.log.clear()
    assert fetch() == folder
    assert [line.path for line in server.log] == [f"/api/models/{NAME}/revision/main"]
    server.log.clear()
    assert fetch(revision=server.commit(NAME)) == folder  # a commit cannot change: nobody is asked
    assert not server.log


def test_the_cache_is_that_of_other_programs(server, tmp_path):
    folder = fetch()
    assert huggingface_hub.try_to_load_from_cache(NAME, WEIGHTS, cache_dir=tmp_path / "cache") == str(folder / WEIGHTS)
    info = huggingface_hub.scan_cache_dir(tmp_path / "cache")
    assert not info.warnings
    assert [repo.repo_id for repo in info.repos] == [NAME]
    options = {"endpoint": server.endpoint, "cache_dir": tmp_path / "cache"}
    for file, data in server.files[SHARDED].items():  # the server is understood by the hub's own client
        assert Path(huggingface_hub.hf_hub_download(SHARDED, file, **options)).read_bytes() == data
    server.log.clear()
    fetch(SHARDED)  # what it fetched is checked and used
    assert all(line.path.startswith("/api/") for line in server.log)


@pytest.mark.parametrize("forbidden", [["symlink_to"], ["symlink_to", "hardlink_to"]])
def test_where_links_are_not_allowed(server, tmp_path, monkeypatch, forbidden):
    for name in forbidden:
        monkeypatch.setattr(Path, name, lambda *_: os.readlink("nothing"))
    folder = fetch()
    check_cache(tmp_path, server)
    server.log.clear()
    assert fetch() == folder
    assert not server.sent(WEIGHTS)
    (folder / WEIGHTS).write_bytes(b"broken")
    fetch()
    check_cache(tmp_path, server)


def test_a_model_by_name_is_the_model_of_the_folder(server, folders, capsys):
    locate._licence_said.clear()
    names = [(NAME, {}), (NAME, {"revision": "main"}), (SHARDED, {}), (str(folders[SHARDED]), {})]
    expected = MusicGen.from_pretrained(folders[NAME], device="cpu").state_dict()
    for name, options in names:
        found = MusicGen.from_pretrained(name, device="cpu", progress=False, **options).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    text = capsys.readouterr().err
    assert text.count("CC-BY-NC 4.0") == 1
    assert "someone" not in text
    assert read_codec(SHARDED).config.hop_length == 16


def test_a_new_version_brings_only_what_changed(server):
    first = fetch()
    server.files[NAME]["generation_config.json"] = b'{"new": 1}'
    server.log.clear()
    second = fetch()
    assert first != second
    assert json.loads((second / "generation_config.json").read_text()) == {"new": 1}
    assert {line.path.rsplit("/", 1)[1] for line in server.log} == {"main", "generation_config.json"}


def test_a_redirect_to_another_host_does_not_take_the_token_along(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    fetch()
    tokens = {line.host: line.token for line in server.asked(WEIGHTS)}
    assert tokens["hub"].startswith("Bearer hf_x")
    assert tokens["cdn"] is None


@pytest.mark.parametrize("locked", [True, False])
def test_two_that_fetch_at_once(server, tmp_path, monkeypatch, locked):
    """The second waits; where locks are not honoured, they write the same bytes to the same places."""
    if not locked:
        monkeypatch.setattr(hub.Repository, "alone", lambda self: nullcontext())
    server.faults[WEIGHTS] = [slowly]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(fetch) for _ in range(2)]
    folder = fetch()
    check_cache(tmp_path, server)
    if locked:
        assert [one.result() for one in both] == [folder, folder]
        assert server.sent(WEIGHTS) == (folder / WEIGHTS).stat().st_size


def test_a_server_is_given_the_time_it_asks_for(server, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.faults["main"] = [answer(429, Retry_After="7"), None]
    fetch()
    assert 7.0 in waits


# What goes wrong.


OUTSIDE = {"id": "a/b", "sha": "0" * 40, "siblings": [{"rfilename": "config.json", "size": 1, "blobId": "../../x"}]}
NO_LISTS = [b"{}", b"[1]", b'{"id": "a/b", "sha": "0"}', b'"text"', b"null", json.dumps(OUTSIDE).encode()]
NO_HUB = r"does not answer as a hub does: .* open a browser and log in"
LENGTH = "the hub announces another length of {} than it lists: call again"
CHANGED = "{} arrived with other bytes than the hub lists .* was deleted: call again"
KEPT = "what arrived is kept"
MENDS = {  # what answers for the file with the weights in turn, and how many bytes come twice
    **{f"busy ({status})": ([answer(status, Retry_After="0")] * 2 + [None], 0) for status in (429, 503, 500)},
    "the line breaks again and again": ([send(stop=30000)] * 6 + [None], 0),
    "does not end in time": ([without_length(lambda data: data + b"more")], 0),
    "ignores the range": ([send(stop=9999), send(ranges=False, stop=5000), send(ranges=False)], 14999),
}
FAULTS = {  # the file, what answers for it in turn, the words, how much of the file is kept
    "gated model (401)": ("config.json", [refuse(401, "GatedRepo")], "accept their terms at http.*/musicgen-small", 0),
    "gated model (403)": ("config.json", [refuse(403, "GatedRepo")], "and run `hf auth login`", 0),
    "access refused (403)": (WEIGHTS, [answer(403)], r"refuses access \(403\): run `hf auth login`", 0),
    "a nonsensical answer (410)": (WEIGHTS, [answer(410)], "answered 410, which is no answer .* check HF_ENDPOINT", 0),
    "breaks off, then 503": (WEIGHTS, [send(stop=5000), answer(503)], f"does not work at the moment.* {KEPT}", 5000),
    "breaks off, then no answer": (WEIGHTS, [send(stop=5000), hang_up], f"the line to .* failed .* {KEPT}", 5000),
    "another range": (WEIGHTS, [send(stop=9999), send_another_part], f"another part of {WEIGHTS} than was asked", 9999),
    "weights cut short": (WEIGHTS, [cut_short], LENGTH.format(WEIGHTS), 0),
    "config.json cut short": ("config.json", [cut_short], LENGTH.format("config.json"), 0),
    "no length, early end": (
        WEIGHTS,
        [without_length(lambda data: data[:4000])],
        r"ended after 4000 of \d+ bytes",
        4000,
    ),
    "weights changed on the way": (WEIGHTS, [change_a_byte], CHANGED.format(WEIGHTS), None),
    "config.json changed on the way": ("config.json", [change_a_byte], CHANGED.format("config.json"), None),
    "429 to the end": ("main", [answer(429)], "too many requests from here", None),
    "503 to the end": ("main", [answer(503)], "does not work", None),
    "429, Retry-After: 3600": ("main", [answer(429, Retry_After="3600")], "call again in 3600 s", None),
    "503, Retry-After: 3600": ("main", [answer(503, Retry_After="3600")], "call again in 3600 s", None),
    "a web page instead of the list": ("main", [answer(200, PAGE, Content_Type="text/html")], NO_HUB, None),
    **{f"no list ({i})": ("main", [answer(200, body)], NO_HUB, None) for i, body in enumerate(NO_LISTS)},
    "a web page instead of a file": (WEIGHTS, [answer(200, PAGE, Content_Type="text/html; x")], "came a web page", 0),
    "a listed file is not there": ("tokenizer.json", [refuse(404, "EntryNotFound")], "lists a file that it lacks", 0),
}


@pytest.mark.parametrize("fault", MENDS)
def test_what_another_attempt_mends(server, tmp_path, fault):
    acts, twice = MENDS[fault]
    for file in (WEIGHTS, "main", "config.json") if "busy" in fault else (WEIGHTS,):
        server.faults[file] = list(acts)
    fetch()
    check_cache(tmp_path, server)
    assert server.sent(WEIGHTS) == len(server.files[NAME][WEIGHTS]) + twice


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_misbehaves(server, said, tmp_path, fault):
    """A sentence; nothing broken to be seen; and the next call asks for what is missing, and for nothing twice."""
    file, acts, words, kept = FAULTS[fault]
    server.faults[file] = list(acts)
    said(fault, words)
    assert len(server.asked("main")) == (4 if "to the end" in fault else 1)
    assert kept != 0 or len(server.asked(file)) == (2 if file == WEIGHTS else 1)  # what waiting does not mend
    check_cache(tmp_path, server)
    assert parts(tmp_path) == ([] if kept is None else [kept])
    server.faults, before = {}, {name: server.sent(name) for name in server.files[NAME]}
    folder = fetch()
    check_cache(tmp_path, server)
    for path in folder.iterdir():
        have = (kept or 0) if path.name == file else before[path.name]
        assert server.sent(path.name) - before[path.name] == path.stat().st_size - have


def without(*names: str):
    return lambda files: [files.pop(name) for name in names]


def index(text: bytes):
    return lambda files: files.update({f"{WEIGHTS}.index.json": text})


NO_INDEX, OUTSIDE_INDEX = "is no index of shards", b'{"weight_map": {"a": "../secret.safetensors"}}'
CONTENTS = {  # the repository, what is done to its files, the words, what must not have been asked for
    "no config.json": (NAME, without("config.json"), "no config.json: it is no model that can be loaded", "resolve"),
    "weights as a pickle only": (NAME, without(WEIGHTS), r"\(it has pytorch_model.bin, a pickle, which", "resolve"),
    "a shard is missing": (SHARDED, without("model-00002-of-00005.safetensors"), "names model-00002.*", "model-0"),
    "the index is no JSON": (SHARDED, index(b"{"), "is not readable as JSON", "model-0"),
    "the index is a list": (SHARDED, index(b"[]"), "not hold a configuration but a list", "model-0"),
    "the index names no files": (SHARDED, index(b'{"weight_map": 3}'), NO_INDEX, "model-0"),
    "the index leads outside": (SHARDED, index(OUTSIDE_INDEX), "is no safetensors file beside it", "model-0"),
}


@pytest.mark.parametrize("fault", CONTENTS)
def test_a_repository_that_is_no_model(server, said, fault):
    name, change, words, unasked = CONTENTS[fault]
    change(server.files[name])
    said(fault, words, name)
    assert not any(unasked in line.path for line in server.log)


def test_a_configuration_that_is_no_json(server, said):
    server.files[NAME]["config.json"] = b"model_type: musicgen"
    said("config.json is no JSON", "config.json is not readable as JSON", call=MusicGen.from_pretrained, progress=False)


def test_what_the_hub_does_not_have(server, said):
    said("unknown name", "no such model, or it is private: check the name", "facebook/no-such-model")
    said("impossible name", "is no name that a hub could have", "a--b/c..d")
    said("unknown revision", r"there is no revision v99: see http.*/commits/main", revision="v99")


@pytest.mark.parametrize(("file", "option"), [("main", "ETAG"), (WEIGHTS, "DOWNLOAD")])
def test_a_server_that_says_nothing(server, said, monkeypatch, file, option):
    monkeypatch.setattr(hub, "WAITS", (0.01,))
    monkeypatch.setattr(constants, f"HF_HUB_{option}_TIMEOUT", 0.1)
    over = threading.Event()
    server.faults[file] = [lambda handler, line, data: over.wait(20)]
    said(f"no answer in time ({file})", "the line to .* failed .*timed out")
    over.set()
    assert len(server.asked(file)) >= 2


# Without a network.


def test_without_a_network_what_was_fetched_loads(server, said, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said("HF_HUB_OFFLINE=1, nothing in the cache", "HF_HUB_OFFLINE forbids to fetch it: unset that")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch() == folder
    assert fetch(revision=folder.name) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for act in (answer(503), answer(200, PAGE, Content_Type="text/html")):  # down; a hotel's network before the login
        server.faults["main"] = [act]
        server.log.clear()
        assert fetch() == folder
        assert len(server.log) == 1  # nobody waits for what is here
    server.faults["main"] = [refuse(403, "GatedRepo")]
    said("gated since it was fetched", "accept their terms")
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert fetch() == folder
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder.parents[2] / "other"))
    said("hub unreachable, nothing in the cache", f"the line to {NOWHERE} failed .* check the network")


def spoil(path: Path) -> bytes:
    """Change the last byte of a file; returns what was in it."""
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # through the link: the blob itself
    return good


@pytest.mark.parametrize("revision", ["main", "commit"])
@pytest.mark.parametrize("file", [WEIGHTS, "tokenizer.json"])
def test_a_file_changed_on_the_disk_is_fetched_again_and_only_that(server, said, monkeypatch, revision, file):
    folder = fetch()
    options = {"revision": folder.name} if revision == "commit" else {}
    good = spoil(folder / file)
    server.log.clear()
    assert fetch(**options) == folder
    assert (folder / file).read_bytes() == good
    assert {line.path.rsplit("/", 1)[1] for line in server.log} == {options.get("revision", "main"), file}
    spoil(folder / file)
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    said("a file changed on the disk, no network", f"{file} on this disk is not as it was fetched", **options)
    assert not (folder / file).exists()
    with pytest.raises(CheckpointError):  # and the second call does not do without it
        fetch(**options)


def test_what_is_not_ours_is_left_alone(server, monkeypatch, tmp_path):
    """A blob may be a link into a store that other repositories use, or have a name that is no hash."""
    folder, store = fetch(), tmp_path / "store"
    for file, name in ((WEIGHTS, (folder / WEIGHTS).readlink().name), ("tokenizer.json", "W/abc")):
        blob = (folder / file).resolve()
        stored = shutil.move(blob, store.with_name(file))
        named = blob.with_name(name.replace("/", "-"))
        named.symlink_to(stored)
        (folder / file).unlink()
        (folder / file).symlink_to(named)
        spoil(Path(stored))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} on this disk"):
        fetch()
    assert (folder / "tokenizer.json").exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    fetch()
    check_cache(tmp_path, server)
    assert store.with_name(WEIGHTS).exists()


def test_a_touched_file_is_hashed_again_an_untouched_one_is_not(server, monkeypatch):
    folder, hashed = fetch(), []
    has_hash = hub.has_hash
    monkeypatch.setattr(hub, "has_hash", lambda path, digest: (hashed.append(path.name), has_hash(path, digest))[1])
    fetch()
    assert hashed == []
    os.utime(folder / WEIGHTS, (1, 1))
    server.log.clear()
    fetch()
    fetch()
    assert hashed == [WEIGHTS]
    assert server.sent(WEIGHTS) == 0


# The disk.


def test_no_room_on_the_disk_is_seen_before_anything_is_fetched(server, said, monkeypatch, tmp_path):
    server.faults[WEIGHTS] = [send(stop=200_000), answer(503)]
    with pytest.raises(CheckpointError):
        fetch()
    server.faults = {}
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 100_000))
    fetch()  # there is room for the rest
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "other"))
    server.log.clear()
    said("no room on the disk", r"the disk is full \(0.0 GB free at .*\): make room, or set HF_HOME")
    assert not any("resolve" in line.path for line in server.log)


def test_a_disk_that_fills_up_keeps_what_arrived(server, said, small_disk, monkeypatch):
    usage = shutil.disk_usage
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk))
    padding = small_disk / "padding"
    padding.write_bytes(bytes(usage(small_disk).free - 150_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(Path(__file__).parent))
    said("the disk fills up meanwhile", "the disk is full .* what arrived is kept")
    kept = sum(path.stat().st_size for path in small_disk.rglob("*.part"))
    assert kept > 0
    padding.unlink()
    folder = fetch()
    assert (folder / WEIGHTS).stat().st_size == len(server.files[NAME][WEIGHTS])
    assert server.log[-1].range == f"bytes={kept}-"


def test_a_folder_that_cannot_be_written(server, said, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    said("the cache cannot be written", rf"{tmp_path}/cache/.* cannot be used \(Not a directory\): set HF_HOME")


@pytest.mark.parametrize("length", [2000, 10**6])
def test_a_spoilt_beginning_is_found_and_fetched_anew(server, said, tmp_path, length):
    server.faults[WEIGHTS] = [send(stop=100), answer(503)]
    with pytest.raises(CheckpointError, match="does not work"):
        fetch()
    server.faults = {}
    next((tmp_path / "cache").rglob("*.part")).write_bytes(bytes(length))
    said("the kept beginning was spoilt", "arrived with other bytes than the hub lists")
    fetch()
    check_cache(tmp_path, server)


# As a user meets it: another process, the environment, nothing patched.


def test_the_environment_names_hub_and_cache(server, folders, tmp_path):
    code = f"from musicgen_edu.checkpoints import find; print(find({NAME!r}))"
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    folder = Path(run.stdout.strip())
    assert folder.is_relative_to(tmp_path / "home")
    assert load_file(folder / WEIGHTS).keys() == load_file(folders[NAME] / WEIGHTS).keys()
    assert "CC-BY-NC 4.0" in run.stderr
    assert "100%" in run.stderr
