"""What must be true of the interleaving patterns, for random sizes, and the tables of the paper literally."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

from helpers.judges import our_lm, their_musicgen
from musicgen_edu.model.embedding import CodebookEmbedding
from musicgen_edu.model.patterns import (
    PATTERNS,
    check_table,
    holds_code,
    interleave,
    known_codes,
    num_steps,
    pattern_table,
    undo,
    undo_logits,
)

SPECIAL = 2048
TABLES = {  # K = 4, T = 5; column 0 is the start, S the special token, a digit the frame
    "parallel": ["S01234"] * 4,
    "delay": ["S01234SSS", "SS01234SS", "SSS01234S", "SSSS01234"],
    "flattening": [
        "S0SSS1SSS2SSS3SSS4SSS",
        "SS0SSS1SSS2SSS3SSS4SS",
        "SSS0SSS1SSS2SSS3SSS4S",
        "SSSS0SSS1SSS2SSS3SSS4",
    ],
    "coarse-first": ["S01234SSSSS"] + ["SSSSSS01234"] * 3,
    "partial delay": ["S01234S"] + ["SS01234"] * 3,
    "partial flattening": ["S0S1S2S3S4S"] + ["SS0S1S2S3S4"] * 3,
}


def drawn(sequence: torch.Tensor) -> list[str]:
    """A sequence [K, S + 1] of codes 100 k + t as rows of characters, after checking each code's codebook."""
    rows = []
    for k, row in enumerate(sequence.tolist()):
        assert all(token == SPECIAL or token // 100 == k for token in row)
        rows.append("".join("S" if token == SPECIAL else str(token % 100) for token in row))
    return rows


@pytest.mark.parametrize("name", PATTERNS)
def test_table_is_the_papers(name):
    codes = 100 * torch.arange(4)[:, None] + torch.arange(5)  # code (k, t) is 100 k + t
    sequence = interleave(codes[None], pattern_table(name, 4, 5), SPECIAL)
    assert drawn(sequence[0]) == TABLES[name]


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("parallel", 1500),
        ("delay", 1503),
        ("flattening", 6000),
        ("coarse-first", 3000),
        ("partial delay", 1501),
        ("partial flattening", 3000),
    ],
)
def test_steps_for_thirty_seconds(name, steps):
    assert num_steps(pattern_table(name, 4, 1500)) == steps


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("trial", range(8))
def test_round_trip(name, trial):
    torch.manual_seed(trial)
    K, T = int(torch.randint(1, 9, ())), int(torch.randint(1, 60, ()))
    step = pattern_table(name, K, T)
    codes = torch.randint(0, SPECIAL, (2, K, T))
    sequence = interleave(codes, step, SPECIAL)
    assert sequence.shape == (2, K, num_steps(step) + 1)
    assert (sequence[:, :, 0] == SPECIAL).all()
    assert torch.equal(sequence[0] != SPECIAL, holds_code(step))
    assert torch.equal(undo(sequence, step), codes)
    assert holds_code(step).sum() == K * T


@pytest.mark.parametrize("name", PATTERNS)
def test_logits_come_from_the_output_before_the_codes_column(name):
    K, T = 4, 7
    step = pattern_table(name, K, T)
    S = num_steps(step)
    logits = torch.arange(S).view(1, 1, S, 1).expand(1, K, S, 3).float()  # an output that says where it stands
    assert torch.equal(undo_logits(logits, step)[0, :, :, 0].long(), step)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_logit_never_sees_a_code_that_is_not_yet_produced(name):
    """By gradient, through our own model: d logit(k, t) / d code(k', t') is 0 unless (k', t') came before."""
    K, T, V, D = 3, 5, 7, 16
    step = pattern_table(name, K, T)
    theirs = MusicgenForCausalLM(
        MusicgenDecoderConfig(
            vocab_size=V, hidden_size=D, num_attention_heads=2, num_hidden_layers=2, ffn_dim=24, num_codebooks=K,
            bos_token_id=V, pad_token_id=V, max_position_embeddings=32,
        )
    )  # fmt: skip
    lm = our_lm(theirs)
    sequence = interleave(torch.randint(0, V, (1, K, T)), step, V)[:, :, :-1]  # what the model reads: [1, K, S]
    embedding = CodebookEmbedding(K, V + 1, D)
    vectors = embedding.tables[torch.arange(K)[:, None], sequence[0]].detach().requires_grad_()  # [K, S, D]
    x = vectors.sum(0, keepdim=True) + lm.positions[: sequence.shape[2]]
    logits = lm.heads(lm.decoder(x, lm.decoder.prepare(None))).view(1, -1, K, V).transpose(1, 2)
    per_code = undo_logits(logits, step)[0]  # [K, T, V]
    # The cell of each code in what the model reads; codes of the last step are never read.
    for k in range(K):
        for t in range(T):
            (gradient,) = torch.autograd.grad(per_code[k, t].square().sum(), vectors, retain_graph=True)
            seen_cell = gradient.abs().sum(-1) > 0  # [K, S]
            padded = torch.nn.functional.pad(seen_cell, (0, 1))
            seen = padded.gather(1, step + 1)  # [K, T]
            assert torch.equal(seen, known_codes(step, k, t)), (name, k, t)


@pytest.mark.parametrize("trial", range(5))
def test_delay_equals_the_mask_of_transformers(trial):
    torch.manual_seed(trial)
    K, T = 4, int(torch.randint(4, 40, ()))
    theirs = their_musicgen().decoder
    pad, steps = theirs.config.pad_token_id, T + K - 1
    start = torch.full((K, 1), pad)
    _, mask = theirs.build_delay_pattern_mask(start, pad_token_id=pad, max_length=steps + 1)
    assert torch.equal(mask.view(K, -1) == -1, holds_code(pattern_table("delay", K, T)))


def test_training_targets_under_delay_are_5_4_3_2():
    assert holds_code(pattern_table("delay", 4, 5))[:, 1:6].sum(1).tolist() == [5, 4, 3, 2]


def test_a_fifth_pattern_is_one_table():
    step = torch.tensor([[0, 2, 3], [5, 6, 9]])
    codes = torch.randint(0, 9, (1, 2, 3))
    assert torch.equal(undo(interleave(codes, check_table(step), 9), step), codes)
    assert num_steps(step) == 10


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (torch.tensor([[0, 1], [1, 1]]), "must increase"),
        (torch.tensor([[0, 1, 2], [0, 2, 1]]), "must increase"),
        (torch.tensor([[0, -1]]), "negative"),
        (torch.tensor([[0.0, 1.0]]), "int64"),
        (torch.tensor([0, 1]), r"\[K, T\]"),
    ],
)
def test_a_table_that_is_no_pattern_is_refused(step, message):
    with pytest.raises(ValueError, match=message):
        check_table(step)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="unknown pattern 'zigzag': expected one of parallel"):
        pattern_table("zigzag", 4, 5)
    with pytest.raises(ValueError, match="K = 0"):
        pattern_table("delay", 0, 5)
    for strange in (2.0, True, "4", None, [4], math.inf):
        for sizes in ((strange, 5), (5, strange)):
            with pytest.raises(ValueError, match="must be a whole number, not"):
                pattern_table("delay", *sizes)
    with pytest.raises(ValueError, match="too large: more than 2\\^26 codes"):
        pattern_table("delay", 4, 10**9)
    for strange in (None, 3, ["delay"]):
        with pytest.raises(ValueError, match="unknown pattern"):
            pattern_table(strange, 4, 5)
    with pytest.raises(ValueError, match="K = 4, not 3"):
        interleave(torch.zeros(1, 3, 5, dtype=torch.int64), pattern_table("delay", 4, 5), 9)
