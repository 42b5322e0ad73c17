"""Training: it learns, a stopped run goes on as if nothing had happened, and the delay pattern's targets are right."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from musicgen_edu.data.pieces import GRID
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.model.lm import LMConfig, MusicgenLM
from musicgen_edu.model.patterns import holds_code, interleave, pattern_table
from musicgen_edu.model.text import TextEncoder
from musicgen_edu.training.codec import CodecTraining, procedural_segments, train_codec
from musicgen_edu.training.lm import LMTraining, TextToCodes, make_optimizers, pattern_loss, train_lm, with_noise
from musicgen_edu.training.losses import MelLoss
from musicgen_edu.training.runs import learning_rate

CODEC = EncodecConfig(
    sampling_rate=16000, num_filters=2, upsampling_ratios=(8, 8, 5), hidden_size=8, codebook_size=16, num_codebooks=2,
    num_lstm_layers=1,
)  # fmt: skip
CODEC_SETTINGS = CodecTraining(steps=6, batch=4, segment_frames=10, warmup=2, bfloat16=False)


def codec_segments(start):
    return procedural_segments(4, 10, 0, start)


def small_codec():
    torch.manual_seed(3)
    return EncodecModel(CODEC)


def stop_at(step):
    def report(done, losses):
        if done == step:
            raise KeyboardInterrupt

    return report


def assert_same_weights(a, b):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


def test_a_codec_run_that_was_stopped_gets_the_same_numbers(tmp_path):
    whole = train_codec(small_codec(), CODEC_SETTINGS, codec_segments)
    path = tmp_path / "codec.pt"
    with pytest.raises(KeyboardInterrupt):
        train_codec(small_codec(), CODEC_SETTINGS, codec_segments, path, checkpoint_every=2, report=stop_at(4))
    assert path.exists()
    resumed = train_codec(small_codec(), CODEC_SETTINGS, codec_segments, path, checkpoint_every=2)
    assert_same_weights(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["codec.pt"]  # nothing half written lies about


def test_a_codec_learns():
    losses = []
    settings = replace(CODEC_SETTINGS, steps=60, learning_rate=5e-3)
    train_codec(small_codec(), settings, codec_segments, report=lambda step, found: losses.append(found["waveform"]))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_segments_are_cut_on_the_grid_and_the_order_can_be_entered_anywhere():
    first = procedural_segments(6, 10, 7, 0)
    batches = [next(first) for _ in range(3)]
    assert batches[0].shape == (6, 1, 10 * GRID)
    assert torch.equal(next(procedural_segments(6, 10, 7, 2)), batches[2])
    assert not torch.equal(batches[0], batches[1])


def test_mel_loss_is_zero_for_the_same_sound_and_hears_a_wrong_pitch():
    loss = MelLoss(16000)
    time = torch.arange(16000) / 16000
    a, b = (torch.sin(2 * torch.pi * f * time)[None, None] * 0.3 for f in (440.0, 660.0))
    assert loss(a, a).item() == 0
    assert loss(a, b) > 10 * loss(a, 0.95 * a)  # much worse than a slightly softer one


def text_to_codes():
    torch.manual_seed(4)
    words = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", "low", "high"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    t5 = T5EncoderModel(
        T5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, dropout_rate=0.0)
    )
    lm = MusicgenLM(LMConfig(dim=32, heads=2, layers=2, feed_forward=64, codebook_size=8, text_dim=16, max_steps=32))
    return TextToCodes(TextEncoder(t5, wrapped), lm)


LM_SETTINGS = LMTraining(phases=((6, 4, 5), (12, 2, 5)), beginnings=(4, 6), warmup=2, bfloat16=False)


def code_batches(start):
    """Low codes for "low", high codes for "high"; the order can be entered anywhere."""
    for step in range(start, LM_SETTINGS.steps):
        generator = torch.Generator().manual_seed(step)
        batches = []
        for frames, batch in LM_SETTINGS.sizes(step):
            low = torch.randint(0, 4, (batch, 4, frames), generator=generator)
            high = torch.arange(batch) % 2
            batches.append((low + 4 * high[:, None, None], ["high" if one else "low" for one in high]))
        yield batches


@pytest.mark.parametrize("options", [{}, {"muon": True, "input_noise": 0.5}])
def test_a_language_model_run_that_was_stopped_gets_the_same_numbers(tmp_path, options):
    settings = replace(LM_SETTINGS, **options)
    whole = train_lm(text_to_codes(), settings, code_batches)
    path = tmp_path / "lm.pt"
    with pytest.raises(KeyboardInterrupt):
        train_lm(text_to_codes(), settings, code_batches, path, checkpoint_every=3, report=stop_at(7))
    assert_same_weights(whole, train_lm(text_to_codes(), settings, code_batches, path, checkpoint_every=3))


def test_every_weight_has_one_optimizer_and_muon_gets_the_matrices_of_the_layers():
    model = text_to_codes()
    adamw, others = make_optimizers(model, replace(LM_SETTINGS, muon=True))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    owned = {key: {names[id(p)] for p in o.param_groups[0]["params"]} for key, o in {"adamw": adamw, **others}.items()}
    assert owned["adamw"] | owned["muon"] == set(names.values())
    assert not owned["adamw"] & owned["muon"]
    assert {"lm.decoder.layers.0.self_attention.qkv.weight", "lm.decoder.layers.1.down.weight"} < owned["muon"]
    assert {"lm.heads.weight", "lm.embedding.tables", "lm.decoder.norm.weight"} < owned["adamw"]
    assert make_optimizers(model, LM_SETTINGS)[1] == {}


def test_noise_replaces_codes_only_and_not_more_than_it_may():
    table = pattern_table("delay", 4, 50)
    codes = torch.arange(400).view(400, 1, 1).expand(400, 4, 50)  # each row has a number of its own
    sequence = interleave(codes, table, 999)
    cells = holds_code(table)
    noisy = with_noise(sequence, cells, 0.2)
    changed = noisy != sequence
    assert torch.equal(noisy == 999, sequence == 999)  # special tokens stay where they are
    assert torch.equal(noisy[changed], ((sequence - 1) % 400)[changed])  # the code of the next row at the same place
    share = changed.sum((1, 2)) / 200
    assert (share == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert share.mean() == pytest.approx(0.05, abs=0.01)
    assert share.max() < 0.32
    assert torch.equal(with_noise(sequence, cells, 0.0), sequence)


def test_a_language_model_overfits_a_batch_and_listens_to_its_caption():
    model = text_to_codes()
    codes = torch.randint(0, 8, (2, 4, 10))
    codes = torch.stack([codes[0], codes[0].flip(1)])
    captions, kept = ["low", "high"], torch.zeros(2, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        loss, _ = pattern_loss(model, codes, captions, kept)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    with torch.no_grad():
        swapped, _ = pattern_loss(model, codes, captions[::-1], kept)
        dropped, _ = pattern_loss(model, codes, captions, ~kept)
    assert swapped > loss + 0.3  # the same codes under the other caption surprise it
    assert dropped > loss


def test_the_delayed_loss_has_t_minus_k_targets_a_codebook(monkeypatch):
    seen = {}

    def spy(logits, codes, valid):
        seen.update(counts=valid.sum(1).tolist(), columns=logits.shape[2])
        return torch.zeros(()), torch.zeros(4)

    monkeypatch.setattr("musicgen_edu.training.lm.codebook_loss", spy)
    pattern_loss(text_to_codes(), torch.randint(0, 8, (1, 4, 9)), ["low"], torch.zeros(1, dtype=torch.bool))
    assert seen == {"counts": [9, 8, 7, 6], "columns": 9}


def test_phases_and_learning_rate():
    settings = LMTraining(phases=((256, 16, 3), (512, 8, 2)))
    assert [settings.sizes(step) for step in range(5)] == [[(256, 16)]] * 3 + [[(512, 8)]] * 2
    assert replace(settings, beginnings=(8, 99)).sizes(3) == [(512, 8), (8, 99)]
    with pytest.raises(ValueError, match="the run has 5 steps"):
        settings.sizes(5)
    rates = [learning_rate(step, 100, 1.0, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert all(b < a for a, b in itertools.pairwise(rates[50:]))
    assert 0 < rates[-1] < 0.01
