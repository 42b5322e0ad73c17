"""Models by name, from a hub that misbehaves: what is said, what is kept, and that nothing broken is used.

`pytest -s tests/test_hub.py` prints the table of faults and messages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from helpers.hub_server import FakeHub
from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CheckpointError, MusicGen
from musicgen_edu.checkpoints import hub, hub_download

NAME, SHARDED = "facebook/musicgen-small", "someone/sharded"
WEIGHTS = "model.safetensors"


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


@pytest.fixture
def server(folders, tmp_path, monkeypatch):
    """A fresh hub and an empty cache, with short waits."""
    fake = FakeHub()
    for name, folder in folders.items():
        fake.add(name, folder)
    fake.start()
    monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_download, "WAITS", (0.01, 0.01, 0.01))
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def table():
    """Faults and what was said, printed at the end."""
    rows: dict[str, str] = {}
    yield rows
    print("\n\n| fault | message |\n|---|---|")
    for fault, message in rows.items():
        print(f"| {fault} | {message} |")


@pytest.fixture
def said(table):
    """Expect a failure: one sentence with the words asked for, entered in the table."""

    def expect(fault: str, words: str, name: str = NAME, **options) -> str:
        with pytest.raises(CheckpointError, match=words) as caught:
            hub.fetch(name, progress=False, **options)
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(name)
        assert len(message) < 330
        table[fault] = message
        return message

    return expect


def fetch(name: str = NAME, **options) -> Path:
    return hub.fetch(name, progress=False, **options)


def of(file: str, host: str | None = None):
    """Whether a request is for a file."""
    return lambda line: line.path.endswith("/" + file) and (host is None or line.host == host)


def fault(when, act, times: int = 10**6):
    """Misbehave on the first so many requests that `when` is true of."""
    left = [times]

    def behave(handler, line):
        if not when(line) or not left[0]:
            return False
        left[0] -= 1
        act(handler, line)
        return True

    return behave


def blobs(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").glob("models--*/blobs/*"))


# What goes well.


def test_the_server_is_understood_by_the_hubs_own_client(server, folders, tmp_path):
    """Else the tests below would show nothing."""
    for file in ("config.json", WEIGHTS):
        path = huggingface_hub.hf_hub_download(NAME, file, endpoint=server.endpoint, cache_dir=tmp_path / "theirs")
        assert Path(path).read_bytes() == (folders[NAME] / file).read_bytes()


def test_only_what_is_needed_is_fetched_and_each_file_once(server, folders):
    folder = fetch()
    size = (folders[NAME] / WEIGHTS).stat().st_size
    assert server.sent(WEIGHTS) == size
    assert not any("pytorch_model.bin" in line.path for line in server.log)
    assert {path.name for path in folder.iterdir()} == set(server.files[NAME]) - {"pytorch_model.bin"}
    before = len(server.log)
    assert fetch() == folder
    assert [line.path for line in server.log[before:]] == [f"/api/models/{NAME}/revision/main"]
    before = len(server.log)
    assert fetch(revision=server.commit(NAME)) == folder  # a commit cannot change: nobody is asked
    assert len(server.log) == before


def test_the_cache_is_that_of_other_programs(server, folders, tmp_path):
    folder = fetch()
    found = huggingface_hub.try_to_load_from_cache(NAME, WEIGHTS, cache_dir=tmp_path / "cache")
    assert Path(found) == folder / WEIGHTS
    info = huggingface_hub.scan_cache_dir(tmp_path / "cache")
    assert not info.warnings
    assert [repo.repo_id for repo in info.repos] == [NAME]
    for file in server.files[SHARDED]:
        huggingface_hub.hf_hub_download(SHARDED, file, endpoint=server.endpoint, cache_dir=tmp_path / "cache")
    server.log.clear()
    fetch(SHARDED)  # what another program fetched is checked and used
    assert all(line.path.startswith("/api/") for line in server.log)


def test_a_model_by_name_is_the_model_of_the_folder(server, folders, capsys):
    hub._licence_said.clear()
    names = [(NAME, {}), (NAME, {"revision": "main"}), (SHARDED, {}), (str(folders[SHARDED]), {})]
    expected = MusicGen.from_pretrained(folders[NAME], device="cpu").state_dict()
    for name, options in names:
        found = MusicGen.from_pretrained(name, device="cpu", progress=False, **options).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    text = capsys.readouterr().err
    assert text.count("CC-BY-NC 4.0") == 1
    assert "someone" not in text


def test_a_codec_by_name(server):
    from musicgen_edu.checkpoints.load import read_codec

    assert read_codec(SHARDED).config.hop_length == 16


def test_a_new_version_brings_only_what_changed(server, folders):
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
    tokens = {line.host: line.token for line in server.log if of(WEIGHTS)(line)}
    assert tokens["hub"].startswith("Bearer hf_x")
    assert tokens["cdn"] is None


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_busy_server_is_asked_again(server, status):
    for when in (of("main"), of("config.json"), of(WEIGHTS, "cdn")):
        server.faults.append(fault(when, lambda handler, line: handler.answer(status, Retry_After="0"), times=2))
    fetch()
    assert len([line for line in server.log if of("main")(line)]) == 3


def test_a_server_is_given_the_time_it_asks_for(server, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(429, Retry_After="7"), times=1))
    fetch()
    assert 7.0 in waits


def test_a_line_that_breaks_again_and_again_still_brings_the_file_once(server, folders):
    data = (folders[NAME] / WEIGHTS).read_bytes()

    def stumble(handler, line):
        handler.send_file(data, line, stop=len(data) // 7)

    server.faults.append(fault(of(WEIGHTS, "cdn"), stumble, times=6))
    folder = fetch()
    assert (folder / WEIGHTS).read_bytes() == data
    assert server.sent(WEIGHTS) == len(data)


# What goes wrong.


def test_an_unreachable_hub(server, said, monkeypatch, table):
    server.stop()
    said("hub unreachable, nothing in the cache", r"the line to http://127.0.0.1:\d+ failed .* check the network")


def test_without_a_network_what_was_fetched_loads(server, said, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said("HF_HUB_OFFLINE=1, nothing in the cache", "HF_HUB_OFFLINE forbids to fetch it: unset that")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    folder = fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch() == folder
    assert fetch(revision=folder.name) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(503)))
    assert fetch() == folder  # the hub is down
    server.stop()
    assert fetch() == folder  # and gone


def test_an_unknown_name(server, said):
    said("unknown name", "no such model, or it is private: check the name", "facebook/no-such-model")


def test_a_name_that_cannot_be(server, said):
    said("impossible name", "is no name that a hub could have", "a--b/c..d")


def test_an_unknown_revision(server, said):
    said("unknown revision", r"there is no revision v99: see http.*/commits/main", revision="v99")


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model(server, said, status):
    server.faults.append(fault(of("config.json"), lambda handler, line: handler.refuse(status, "GatedRepo")))
    said("gated model", r"accept their terms at http.*/musicgen-small and run `hf auth login`")


def test_a_refused_token(server, said):
    server.faults.append(fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.answer(403)))
    said("access refused (403)", r"refuses access \(403\): run `hf auth login`")


def test_no_room_on_the_disk_is_seen_before_anything_is_fetched(server, said, monkeypatch):
    import shutil

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    said("no room on the disk", r"the disk is full \(0.0 GB free at .*\): make room, or set HF_HOME")
    assert not any("resolve" in line.path for line in server.log)


def test_a_disk_that_fills_up_keeps_what_arrived(server, said, small_disk, monkeypatch):
    import shutil

    usage = shutil.disk_usage
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk))
    padding = small_disk / "padding"
    padding.write_bytes(bytes(usage(small_disk).free - 150_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(Path(__file__).parent))
    said("the disk fills up meanwhile", "the disk is full .* what arrived is kept")
    kept = sum(path.stat().st_size for path in small_disk.rglob("*.incomplete"))
    assert kept > 0
    padding.unlink()
    folder = fetch()
    assert (folder / WEIGHTS).stat().st_size == len(server.files[NAME][WEIGHTS])
    assert any(line.range == f"bytes={kept}-" for line in server.log)


def test_a_folder_that_cannot_be_written(server, said, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    said("the cache cannot be written", rf"{tmp_path}/cache/.* cannot be used \(Not a directory\): set HF_HOME")


def test_a_download_that_breaks_off_is_continued_by_the_next_call(server, said, folders, tmp_path):
    data = (folders[NAME] / WEIGHTS).read_bytes()
    half = len(data) // 2
    broken = [
        fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.send_file(data, line, stop=half), times=1),
        fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.answer(503)),
    ]
    server.faults += broken
    said("breaks off midway, then the hub is down (503)", r"does not work at the moment \(503\).* what arrived is kept")
    assert [path.stat().st_size for path in blobs(tmp_path) if path.suffix == ".incomplete"] == [half]
    server.faults.clear()
    folder = fetch()
    assert (folder / WEIGHTS).read_bytes() == data
    assert server.sent(WEIGHTS) == len(data)  # no byte came twice
    assert server.log[-1].range == f"bytes={half}-"
    assert server.sent("config.json") == (folders[NAME] / "config.json").stat().st_size


def test_a_line_that_breaks_and_stays_broken(server, said, tmp_path):
    data = server.files[NAME][WEIGHTS]
    first = fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.send_file(data, line, stop=5000), times=1)
    rest = fault(of(WEIGHTS, "cdn"), lambda handler, line: setattr(handler, "close_connection", True))
    server.faults += [first, rest]
    said("breaks off midway, then no answer", "the line to .* failed .* what arrived is kept and continued")
    assert [path.stat().st_size for path in blobs(tmp_path) if path.suffix == ".incomplete"] == [5000]


def test_a_server_that_ignores_the_range_gives_the_whole_file_again(server, said, tmp_path):
    data = server.files[NAME][WEIGHTS]
    first = fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.send_file(data, line, stop=9999), times=1)
    rest = fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.send_file(data, line, ranges=False))
    server.faults += [first, rest]
    folder = fetch()
    assert (folder / WEIGHTS).read_bytes() == data
    assert server.sent(WEIGHTS) == len(data) + 9999


def test_a_part_that_is_another_than_was_asked_for(server, said):
    data = server.files[NAME][WEIGHTS]

    def wrong(handler, line):
        handler.answer(206, data[7:], Content_Range=f"bytes 7-{len(data) - 1}/{len(data)}")

    first = fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.send_file(data, line, stop=9999), times=1)
    server.faults += [first, fault(of(WEIGHTS, "cdn"), wrong)]
    said("another range than was asked for", "another part of model.safetensors than the one that was asked for")
    server.faults.clear()
    assert (fetch() / WEIGHTS).read_bytes() == data


@pytest.mark.parametrize(("file", "host"), [(WEIGHTS, "cdn"), ("config.json", "hub")])
def test_a_file_cut_short_is_not_taken(server, said, file, host):
    data = server.files[NAME][file]
    server.faults.append(fault(of(file, host), lambda handler, line: handler.answer(200, data[:-3])))
    said(f"{file} cut short", rf"announces {len(data) - 3} bytes of {file} where it lists {len(data)}")


def test_an_answer_without_a_length_that_ends_early(server, said, tmp_path):
    data = server.files[NAME][WEIGHTS]

    def unmeasured(handler, line):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(data[:4000])
        handler.close_connection = True

    server.faults.append(fault(of(WEIGHTS, "cdn"), unmeasured))
    said("no length, and an early end", r"the answer ended after 4000 of \d+ bytes")


@pytest.mark.parametrize(("file", "host"), [(WEIGHTS, "cdn"), ("config.json", "hub")])
def test_a_file_changed_on_the_way_is_deleted_and_never_given_out(server, said, tmp_path, file, host):
    data = bytearray(server.files[NAME][file])
    data[len(data) // 2] ^= 1

    def change(handler, line):
        handler.answer(200, bytes(data))

    server.faults.append(fault(of(file, host), change))
    said(f"{file} changed on the way", f"{file} arrived with other bytes than the hub lists .* was deleted: call again")
    assert not any(path.suffix == ".incomplete" for path in blobs(tmp_path))
    assert not list((tmp_path / "cache").glob(f"models--*/snapshots/*/{file}"))
    server.faults.clear()
    assert (fetch() / file).read_bytes() == server.files[NAME][file]


def test_a_spoilt_beginning_is_found_and_fetched_anew(server, said, tmp_path):
    data = server.files[NAME][WEIGHTS]
    server.faults.append(fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.answer(403)))
    with pytest.raises(CheckpointError):
        fetch()
    server.faults.clear()
    part = hub.RepositoryCache(tmp_path / "cache", NAME).part(hub.list_files(request(server))[1][WEIGHTS])
    part.write_bytes(bytes(2000))
    said("the kept beginning was spoilt", "arrived with other bytes than the hub lists")
    assert (fetch() / WEIGHTS).read_bytes() == data


def request(server) -> hub.Request:
    return hub.Request(NAME, "main", server.endpoint)


def test_a_file_changed_on_the_disk_is_fetched_again_and_only_that(server, said, monkeypatch):
    folder = fetch()
    good = (folder / WEIGHTS).read_bytes()
    bad = bytearray(good)
    bad[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bad)  # through the link: the blob itself
    server.log.clear()
    assert (fetch() / WEIGHTS).read_bytes() == good
    assert server.sent(WEIGHTS) == len(good)
    assert not any(of("config.json")(line) for line in server.log)
    (folder / WEIGHTS).write_bytes(bad)
    assert fetch(revision=folder.name) == folder
    assert (folder / WEIGHTS).read_bytes() == good
    (folder / WEIGHTS).write_bytes(bad)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said("a file changed on the disk, no network", "model.safetensors on this disk is not as it was fetched .* removed")
    assert not (folder / WEIGHTS).exists()


def test_a_changed_file_of_a_commit_is_not_loaded_without_a_network(server, said):
    folder = fetch()
    (folder / WEIGHTS).write_bytes(bytes((folder / WEIGHTS).stat().st_size))
    server.stop()
    said("a file changed on the disk, hub unreachable", "is not as it was fetched", revision=folder.name)
    assert not (folder / WEIGHTS).exists()


def test_a_touched_file_is_hashed_again_an_untouched_one_is_not(server, monkeypatch):
    from musicgen_edu.checkpoints import hub_cache

    folder, hashed = fetch(), []
    whole = hub_cache.is_whole
    monkeypatch.setattr(hub_cache, "is_whole", lambda path, file: (hashed.append(file.name), whole(path, file))[1])
    fetch()
    assert hashed == []
    os.utime(folder / WEIGHTS, (1, 1))
    server.log.clear()
    fetch()
    fetch()
    assert hashed == [WEIGHTS]
    assert server.sent(WEIGHTS) == 0


@pytest.mark.parametrize(("status", "words"), [(429, "too many requests from here"), (503, "does not work")])
def test_a_server_that_stays_busy(server, said, status, words):
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(status)))
    said(f"{status} without Retry-After, to the end", words)
    assert len(server.log) == 4


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_an_hour_is_not_waited_for(server, said, status):
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(status, Retry_After="3600")))
    said(f"{status} with Retry-After: 3600", "call again in 3600 s")
    assert len(server.log) == 1


PAGE = b"<!DOCTYPE html><html>Welcome to the hotel</html>"


def test_a_web_page_instead_of_the_list(server, said):
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(200, PAGE, Content_Type="text/html")))
    said("a web page instead of the list of files", "does not answer as a hub does: .* open a browser and log in")


OUTSIDE = {"id": "a/b", "sha": "0" * 40, "siblings": [{"rfilename": "config.json", "size": 1, "blobId": "../../x"}]}


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[1]", b'{"id": "a/b", "sha": "0"}', b'"text"', b"null", json.dumps(OUTSIDE).encode()],
)
def test_json_that_is_no_list_of_files(server, said, body):
    server.faults.append(fault(of("main"), lambda handler, line: handler.answer(200, body)))
    said("other JSON than a list of files", "does not answer as a hub does")


def test_a_web_page_instead_of_a_file(server, said, tmp_path):
    server.faults.append(
        fault(of(WEIGHTS, "cdn"), lambda handler, line: handler.answer(200, PAGE, Content_Type="text/html; charset=x"))
    )
    said("a web page instead of a file", "instead of model.safetensors came a web page")
    assert not any(path.suffix == ".incomplete" for path in blobs(tmp_path))


def test_a_file_that_is_listed_but_not_there(server, said):
    server.faults.append(fault(of("tokenizer.json"), lambda handler, line: handler.refuse(404, "EntryNotFound")))
    said("a listed file is not there", "lists a file that it does not have")


def test_a_repository_without_configuration(server, said):
    del server.files[NAME]["config.json"]
    said("no config.json", "no config.json: it is no model that can be loaded")


def test_a_repository_with_pickles_only(server, said):
    del server.files[NAME][WEIGHTS]
    said("weights as a pickle only", r"no model.safetensors \(it has pytorch_model.bin, a pickle, which could run code")
    assert not any("resolve" in line.path for line in server.log)


def test_a_missing_shard(server, said):
    shards = sorted(name for name in server.files[SHARDED] if name.startswith("model-0"))
    assert len(shards) > 2
    del server.files[SHARDED][shards[1]]
    said("a shard is missing on the hub", f"{shards[1]}, which the repository does not have", SHARDED)
    assert not any(of(shards[0])(line) for line in server.log)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": "../secret.safetensors"}}'])
def test_an_index_that_is_none(server, said, text):
    server.files[SHARDED]["model.safetensors.index.json"] = text.encode()
    said("the index of shards is broken", "is no index of shards|is no safetensors file beside it", SHARDED)


def test_a_configuration_that_is_no_json(server, table):
    server.files[NAME]["config.json"] = b"model_type: musicgen"
    with pytest.raises(CheckpointError, match=r"config.json is not readable as JSON") as caught:
        MusicGen.from_pretrained(NAME, progress=False)
    assert "\n" not in str(caught.value)
    table["config.json is no JSON"] = str(caught.value)


@pytest.mark.parametrize(("path", "host"), [("main", "hub"), (WEIGHTS, "cdn")])
def test_a_server_that_says_nothing(server, said, monkeypatch, path, host):
    monkeypatch.setattr(hub_download, "WAITS", (0.01,))
    monkeypatch.setattr(constants, f"HF_HUB_{'ETAG' if host == 'hub' else 'DOWNLOAD'}_TIMEOUT", 0.3)
    server.faults.append(fault(of(path, host), lambda handler, line: time.sleep(20)))
    begin = time.monotonic()
    said(f"no answer in time ({path})", "the line to .* failed .*timed out")
    assert time.monotonic() - begin < 10


# Local folders.


def test_shards_are_checked_against_their_index(folders, tmp_path):
    import shutil

    folder = Path(shutil.copytree(folders[SHARDED], tmp_path / "copy"))
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    name, shard = next(iter(content["weight_map"].items()))
    other = next(place for place in content["weight_map"].values() if place != shard)
    content["weight_map"][name] = other
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{name}, model.safetensors.index.json says otherwise"):
        MusicGen.from_pretrained(folder)
    index.write_text((folders[SHARDED] / index.name).read_text())
    (folder / other).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {other}, one of"):
        MusicGen.from_pretrained(folder)


def test_a_folder_has_no_revisions(folders):
    for name in ("tiny", folders[NAME]):
        with pytest.raises(CheckpointError, match="only models of the hub have revisions"):
            MusicGen.from_pretrained(name, revision="main")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_the_cpu(folders, dtype):
    whole = MusicGen.from_pretrained(folders[NAME], device="cpu")
    half = MusicGen.from_pretrained(folders[NAME], device="cpu", dtype=dtype)
    assert {tensor.dtype for tensor in half.lm.parameters()} == {dtype}
    assert {tensor.dtype for tensor in half.codec.parameters()} == {torch.float32}
    sequence = torch.randint(16, (1, 4, 12))
    logits = [model.lm(sequence, *model.text(["a calm bell"])).float() for model in (whole, half)]
    assert (logits[0] - logits[1]).norm() < 0.03 * logits[0].norm()
    audio = half.generate(["a calm bell"], seconds=0.3, top_k=8, seed=1)
    assert audio.dtype == torch.float32
    assert audio.isfinite().all()


def test_other_number_formats_are_refused(folders):
    with pytest.raises(ValueError, match=r"dtype must be torch.float64, .* or int8, not torch.int16"):
        MusicGen.from_pretrained(folders[NAME], dtype=torch.int16)


def test_a_stereo_model_is_named_as_such(tmp_path):
    folder = save_musicgen(their_musicgen({"num_codebooks": 8, "audio_channels": 2}), tmp_path)
    with pytest.raises(CheckpointError, match="8 codebooks of 16, the codec 4 of 16; the stereo models"):
        MusicGen.from_pretrained(folder)


# As a user meets it: another process, the environment, nothing patched.


def test_the_environment_names_hub_and_cache(server, folders, tmp_path):
    code = f"from musicgen_edu import hub; print(hub.fetch({NAME!r}))"
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    folder = Path(run.stdout.strip())
    assert folder.is_relative_to(tmp_path / "home")
    assert load_file(folder / WEIGHTS).keys() == load_file(folders[NAME] / WEIGHTS).keys()
    assert "CC-BY-NC 4.0" in run.stderr
    assert "100%" in run.stderr
