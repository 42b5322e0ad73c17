"""The app over HTTP: visitors, queue and files, and that it calls nobody."""

from __future__ import annotations

import os
import re
import socket
import threading
import time

import pytest
import soundfile
import torch

pytest.importorskip("gradio")

from helpers.instrument import RATE, Instrument, service
from musicgen_edu.app.request import Limits
from musicgen_edu.app.serve import launch
from musicgen_edu.app.service import Models, Service
from musicgen_edu.cli.main import main


@pytest.fixture(scope="module")
def called():
    """The names that this process looks up and the addresses that it connects to."""
    called, patch = [], pytest.MonkeyPatch()
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def note_connect(self, address):
        called.append(address[0] if isinstance(address, tuple) else "a file")
        return connect(self, address)

    def note_lookup(host, *more, **options):
        called.append(host)
        return lookup(host, *more, **options)

    patch.setattr(socket.socket, "connect", note_connect)
    patch.setattr(socket, "getaddrinfo", note_lookup)
    yield called
    patch.undo()


@pytest.fixture(scope="module")
def served(called):
    model = Instrument()
    page = launch(service(model, queue=4, concurrent=2), block=False)
    yield page, model
    page.blocks.close()


def connect(page):
    """A visitor with a session of its own."""
    from gradio_client import Client

    return Client(page.blocks.local_url, verbose=False, httpx_kwargs={"timeout": 60})


def send(client, seed: int, seconds: float = 0.5, model: str = "tiny"):
    """A request of a visitor, under way."""
    return client.submit("a bell", seconds, 0.3, seed, 3.0, 8, 1.0, model, "en", api_name="/generate")


def eight(page, may_go_on: threading.Event) -> tuple[list, list[str]]:
    """Eight requests at once, and what each is told in the end.

    No work is done until two have been refused, so it does not depend on the clock who is served.
    """
    clients = [connect(page) for _ in range(8)]
    may_go_on.clear()
    jobs = [send(client, seed) for seed, client in enumerate(clients)]
    end = time.monotonic() + 60
    while sum(job.done() for job in jobs) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    may_go_on.set()
    return jobs, [job.result(timeout=60)[2] for job in jobs]


def received(job) -> tuple[torch.Tensor, int]:
    """The sound [n] of the file that a request ended with, and its rate."""
    file = job.result(timeout=60)[1]
    samples, rate = soundfile.read(file["value"] if isinstance(file, dict) else file, dtype="float32")
    return torch.from_numpy(samples), rate


def test_it_listens_on_the_loopback_address_only(served):
    page, _ = served
    assert page.blocks.local_url.startswith("http://127.0.0.1:")
    assert page.blocks.server_name == "127.0.0.1"
    assert page.blocks.share_url is None
    assert not page.blocks.analytics_enabled


def test_eight_clients_are_served_or_told_why_not(served):
    page, model = served
    _, ends = eight(page, model.may_go_on)
    assert sum("Done" in text for text in ends) == 6  # two at once, four wait
    assert sum("queue is full" in text for text in ends) == 2
    assert model.most_at_once == 2
    assert "Done" in send(connect(page), 9).result(timeout=60)[2]


def test_the_file_is_the_whole_clip(served):
    page, model = served
    samples, rate = received(send(connect(page), 11))
    assert rate == RATE
    torch.testing.assert_close(samples, model.clip("a bell", 0.5, 11)[0, 0], rtol=0, atol=1 / 32768)
    assert os.listdir(page.folder.name) == [], "what was handed out is not kept twice"


def test_a_model_that_was_not_named_is_never_loaded(served):
    client = connect(served[0])
    with pytest.raises(Exception, match="facebook/musicgen-small is not in the list of choices"):
        send(client, 13, model="facebook/musicgen-small").result(timeout=60)


class Held:
    """A model whose streams begin when they may."""

    def __init__(self, model):
        self.model, self.may_go_on = model, threading.Event()

    def __getattr__(self, name: str):
        return getattr(self.model, name)

    def stream(self, *arguments, **options):
        assert self.may_go_on.wait(60)
        yield from self.model.stream(*arguments, **options)


def test_eight_at_once_on_the_shipped_model(tiny):
    """Six are served, each told its place while it waits and given what `generate` gives; two hear why not."""
    model = Held(tiny)
    page = launch(Service(Models(["tiny"], lambda name: model), Limits(queue=5)), block=False)
    try:
        jobs, ends = eight(page, model.may_go_on)
        told = [[outputs[2] for outputs in job.outputs()] for job in jobs]
        places = [[int(at[1]) for text in texts if (at := re.search(r"number (\d) of", text))] for texts in told]
        assert sum("The queue is full: 5 waiting." in end for end in ends) == 2
        assert sorted(one[0] for one in places if one) == [1, 2, 3, 4, 5]
        assert all(one == sorted(one, reverse=True) for one in places), "nobody moves back"
        for seed, (end, job) in enumerate(zip(ends, jobs, strict=True)):
            if "queue is full" not in end:
                assert f"Seed {seed}." in end
                whole = tiny.generate(["a bell"], 0.5, top_k=8, seed=seed)[0, 0].clamp(-1, 1)
                torch.testing.assert_close(received(job)[0], whole, rtol=0, atol=1.5 / 32768)
        assert page.service.line.waiting == 0
    finally:
        page.blocks.close()


def test_a_port_that_is_taken_is_named(served, capsys):
    port = served[0].blocks.server_port
    assert main(["app", "--port", str(port)]) == 2
    expected = f"musicgen-edu: cannot listen on 127.0.0.1, port {port}: taken, or no address of this computer\n"
    assert capsys.readouterr().err == expected


def test_it_calls_nobody(served, called):
    assert "Done" in send(connect(served[0]), 12).result(timeout=60)[2]
    assert "127.0.0.1" in called
    hosts = {host.decode() if isinstance(host, bytes) else host for host in called}
    assert hosts <= {"127.0.0.1", "localhost", "::1", "a file", None}
