"""The drawings of lesson 09 show the numbers that they are given, and refuse what they cannot draw."""

import base64
import random
import re

import pytest

from musicgen_edu.checkpoints import find
from musicgen_edu.checkpoints.weights import SafetensorsFile
from musicgen_edu.figures.published import PARTS, file_map, name_map, part_of, part_sizes, stage_errors, step_bounds


def svg(picture) -> str:
    return base64.b64decode(picture.source.split(",", 1)[1]).decode()


def places_of_random_tensors(chance: random.Random) -> dict[str, tuple[int, int]]:
    """Tensors of random parts and sizes, one behind the other."""
    at, places = 0, {}
    for i in range(chance.randint(1, 40)):
        size = chance.randint(1, 10_000)
        places[f"{chance.choice(list(PARTS))}{i}"] = (at, at + size)
        at += size
    return places


@pytest.mark.parametrize("seed", range(5))
def test_the_boxes_of_a_file_lie_side_by_side_and_are_as_wide_as_their_bytes(seed):
    places = places_of_random_tensors(random.Random(seed))
    boxes = re.findall(r'<rect x="([\d.]+)" y="34" width="([\d.]+)" height="52"', svg(file_map(places)))
    assert len(boxes) == len(places)
    total, end = max(end for _, end in places.values()), 10.0
    for (x, width), (first, last) in zip(boxes, places.values(), strict=True):
        assert float(x) == pytest.approx(end, abs=0.1)
        assert float(width) == pytest.approx(920 * (last - first) / total, abs=0.01)
        end = float(x) + float(width)
    assert end == pytest.approx(930, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_of_a_file_add_up_to_it_and_the_largest_comes_first(seed):
    places = places_of_random_tensors(random.Random(seed))
    sizes = part_sizes(places)
    assert sum(sizes.values()) == max(end for _, end in places.values())
    told = file_map(places).description.removeprefix("shares of the file: ").split("; ")
    parts, shares = zip(*(one.rsplit(" ", 1) for one in told), strict=True)
    assert set(parts) == set(sizes)
    assert [sizes[part] for part in parts] == sorted(sizes.values(), reverse=True)
    total = sum(sizes.values())
    assert list(shares) == [f"{sizes[part] / total:.0%}" for part in parts]


def test_every_tensor_of_the_shipped_model_has_its_part():
    file = SafetensorsFile(find("tiny") / "model.safetensors")
    assert {part_of(name) for name in file} == {part for part, _ in PARTS.values()}
    assert part_of("decoder.model.decoder.layers.0.fc1.weight") == "layers"
    assert part_of("decoder.model.decoder.layer_norm.bias") == "tables of codes, last norm"
    assert part_of("audio_encoder.decoder.layers.0.conv.bias") == "codec: decoder"
    with pytest.raises(ValueError, match=r"emb\.0\.weight belongs to no part"):
        part_of("emb.0.weight")


def test_names_meet_in_the_middle_of_what_they_come_from():
    picture = name_map({"qkv": ["q", "k", "v"], "out": ["o"]}, "theirs", "ours")
    assert picture.description == "4 names, theirs, become 2, ours"
    text = svg(picture)
    lines = re.findall(r'd="M 410 (\d+) C [\d. ]+ 566 ([\d.]+)"', text)
    starts, ends = [int(start) for start, _ in lines], [float(end) for _, end in lines]
    assert len(lines) == 4
    assert starts == sorted(set(starts))
    assert ends == [starts[1]] * 3 + [starts[3]]
    for name in ("qkv", "out", "q", "k", "v", "o"):
        assert f">{name}</text>" in text


def test_errors_need_the_same_stages_in_every_line():
    lines = {"right": {"a": 0.0, "b": 1e-7}, "wrong": {"a": 0.0, "b": 1.0}}
    assert stage_errors({"model": lines}).description == "errors stage by stage: model: right, wrong"
    with pytest.raises(ValueError, match="model: wrong has the stages b, a, expected a, b"):
        stage_errors({"model": {**lines, "wrong": {"b": 1.0, "a": 0.0}}})
    for panels in ({}, {"model": {}}):
        with pytest.raises(ValueError, match="at least one line"):
            stage_errors(panels)


def test_an_error_of_zero_is_a_cross_and_a_small_one_is_not(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "musicgen_edu.figures.published.figure_picture", lambda figure, told: drawn.extend(figure.axes) or told
    )
    stage_errors({"model": {"right": {"a": 0.0, "b": 1e-7, "c": 0.0}, "other": {"a": 1e-3, "b": 1.0, "c": 2.0}}})
    curves, crosses = drawn[0].lines[::2], drawn[0].lines[1::2]
    assert [list(one.get_xdata()) for one in crosses] == [[0, 2], []]
    assert list(curves[1].get_ydata()) == [1e-3, 1.0, 2.0]
    assert curves[0].get_ydata()[1] == 1e-7


def test_the_shortest_step_is_bytes_over_bandwidth(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "musicgen_edu.figures.published.figure_picture", lambda figure, told: drawn.extend(figure.axes) or told
    )
    assert "small, large" in step_bounds({"small": 1e9, "large": 4e9}, 2e10)
    assert [line.get_label() for line in drawn[0].lines[:2]] == ["large", "small"]  # from the top down
    for line, size in zip(drawn[0].lines[:2], (4e9, 1e9), strict=True):
        for gigabytes, milliseconds in zip(line.get_xdata(), line.get_ydata(), strict=True):
            assert milliseconds / 1000 * gigabytes * 1e9 == pytest.approx(size)
