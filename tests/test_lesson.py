"""The sizes in which a lesson runs."""

import pytest
import torch

from musicgen_edu.lesson import by_size, lesson_size


@pytest.mark.parametrize("size", ["quick", "cpu", "gpu"])
def test_the_size_of_a_lesson_comes_from_the_environment(monkeypatch, size):
    monkeypatch.setenv("MUSICGEN_EDU_SIZE", size)
    assert lesson_size() == size
    assert by_size(quick="quick", cpu="cpu", gpu="gpu") == size
    assert by_size(quick="quick", cpu="cpu") == ("cpu" if size == "gpu" else size)


def test_without_the_environment_the_size_comes_from_the_device(monkeypatch):
    monkeypatch.delenv("MUSICGEN_EDU_SIZE", raising=False)
    assert lesson_size() == ("gpu" if torch.cuda.is_available() else "cpu")
    monkeypatch.setenv("MUSICGEN_EDU_SIZE", "huge")
    with pytest.raises(ValueError, match="must be one of quick, cpu, gpu, not 'huge'"):
        lesson_size()
