"""A very small training run with everything switched on, for the tests; as a script it is one process of a run.

python tests/helpers/training_runs.py FOLDER    trains, with its state in FOLDER/run.pt, and writes FOLDER/result.pt
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from musicgen_edu.model.lm import LMConfig, MusicgenLM
from musicgen_edu.model.text import TextEncoder
from musicgen_edu.training.layout import Batch, make_update, pattern_loss
from musicgen_edu.training.lm import train_lm
from musicgen_edu.training.processes import find_processes
from musicgen_edu.training.settings import LMTraining
from musicgen_edu.training.text_to_codes import TextToCodes
from musicgen_edu.training.validation import Validation

WORDS = ("low", "high", "slow", "fast", "bell", "organ")
K, V = 4, 8
KEPT = torch.zeros(7, dtype=torch.bool)  # no caption of seven is dropped
SETTINGS = LMTraining(
    phases=((9, 7, 20), (12, 5, 20)), learning_rate=5e-3, warmup=3, condition_dropout=0.3, input_noise=0.3, seed=11,
    bfloat16=False, accumulation=2, ema_decay=0.9, ema_every=3, word_dropout=0.3, max_words=3, beginnings=(5, 4),
)  # fmt: skip


def text_encoder(dropout: float = 0.0) -> TextEncoder:
    """A T5 of random weights that knows the words above."""
    torch.manual_seed(4)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])  # as T5's
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return TextEncoder(T5EncoderModel(T5Config(vocab_size=16, dropout_rate=dropout, **sizes)), wrapped)


def small_model(frozen: bool = False, dropout: float = 0.0) -> TextToCodes:
    """The same fresh weights at each call."""
    text = text_encoder(dropout)
    torch.manual_seed(5)
    lm = MusicgenLM(
        LMConfig(dim=32, num_heads=2, layers=2, feed_forward=64, codebook_size=V, text_dim=16, max_steps=64)
    )
    return TextToCodes(text, lm, frozen)


def random_batch(seed: int, B: int, T: int, shortest: int = K) -> Batch:
    """Random codes and captions; rows of unequal lengths."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, V, (B, K, T), generator=generator)
    lengths = torch.randint(shortest, T + 1, (B,), generator=generator)
    lengths[0] = T
    chosen = torch.randint(0, len(WORDS), (B, 4), generator=generator).tolist()
    return Batch(codes, [" ".join(WORDS[i] for i in row) for row in chosen], lengths)


def loss_of(model, codes, captions, dropped, pattern="delay", lengths=None) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of a batch, and the nats of each codebook."""
    return pattern_loss(model, make_update(Batch(codes, captions, lengths), pattern, V, dropped))


def assert_close(found: dict, expected: dict, atol: float = 1e-6) -> None:
    """Tensors of the same names with the same values."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def batches(start: int, settings: LMTraining = SETTINGS):
    """The batches of each step; the order can be entered anywhere."""
    for step in range(start, settings.steps):
        yield [random_batch(100 * step + i, B, T) for i, (T, B) in enumerate(settings.sizes(step))]


def main(folder: Path, killed_at: int = -1, after: float = 0.0) -> None:
    """Train, each step with its state written; a run that is to be killed takes its time, 10 ms a step at least."""
    processes, history = find_processes(cpu=True), []

    def report(step: int, figures: dict[str, float]) -> None:
        history.append(figures)
        print(f"step {step}", flush=True)
        if step == killed_at:
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        if killed_at >= 0:
            time.sleep(0.01)

    validation = Validation([random_batch(-1 - i, 3, 10) for i in range(3)], every=10)
    model = train_lm(small_model(), SETTINGS, batches, folder / "run.pt", 1, report, validation, processes)
    if processes.main:
        torch.save({"weights": model.state_dict(), "history": history}, folder / "result.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
