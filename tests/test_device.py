"""Which device is taken, and what is said of one that cannot be."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu import MusicGen
from musicgen_edu.device import choose_device


@pytest.mark.parametrize(("there", "chosen"), [(False, "cpu"), (True, "cuda")])
def test_without_a_name_it_is_a_gpu_if_there_is_one(monkeypatch, there, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device() == torch.device(chosen)


def test_a_name_is_taken_as_it_is():
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["sofa", "cuda:99", "mps", "meta", "vulkan", "", "cpu:x"])
def test_a_device_that_cannot_be_used_is_one_sentence_before_anything_is_loaded(name, monkeypatch):
    monkeypatch.setattr("musicgen_edu.checkpoints.load.find", lambda *a: pytest.fail("the checkpoint was looked for"))
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    for use in (choose_device, lambda name: MusicGen.from_pretrained("tiny", name)):
        with pytest.raises(ValueError, match=rf"^device {name} cannot be used: [^\n]+$"):
            use(name)


def test_what_a_library_says_of_a_device_is_cut_to_a_sentence():
    for name in ("mps", "vulkan", "xla"):
        with pytest.raises(ValueError, match="cannot be used") as caught:
            choose_device(name)
        assert len(str(caught.value)) < 200
