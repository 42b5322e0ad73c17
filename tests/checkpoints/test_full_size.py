"""A checkpoint with the shapes of musicgen-small, random weights: the same as in `transformers`, in little memory.

It takes 2.4 GB of disk in the folder of temporary files. Each step runs in a process of its own, so that the memory of
one is not counted as that of another.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROMPT = "a fast organ melody in c minor with drums"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
STEPS = 50
T5_BASE = {
    "vocab_size": 32128, "d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12,
    "decoder_start_token_id": 0, "dropout_rate": 0.0,
}  # fmt: skip
SMALL = {
    "hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24, "ffn_dim": 4096, "num_codebooks": 4,
    "vocab_size": 2048, "max_position_embeddings": 2048, "bos_token_id": 2048, "pad_token_id": 2048, "dropout": 0.0,
}  # fmt: skip


def child(function: str, *arguments: object) -> dict:
    """Run a function of this file in another process; it prints its answer as JSON."""
    code = f"import sys, test_full_size as t; t.{function}(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(
        command, cwd=Path(__file__).parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=3000
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.strip().splitlines()[-1])


class Published:
    """A model of `transformers`, written under the names of the published file."""

    def __init__(self, model):
        self.model = model

    def save_pretrained(self, folder: Path) -> None:
        from safetensors.torch import save_file

        from musicgen_edu.model.embedding import sinusoidal_positions

        tensors = {"decoder.model.decoder.embed_positions.weights": sinusoidal_positions(2048, 1024)}
        for name, tensor in self.model.state_dict().items():
            name = name.replace("parametrizations.weight.original0", "weight_g")
            name = name.replace("parametrizations.weight.original1", "weight_v")
            if name != "text_encoder.encoder.embed_tokens.weight":  # the same table as shared.weight
                tensors[name] = tensor.contiguous()
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)


def make_lively(decoder: torch.nn.Module) -> None:
    """Let a token change what follows.

    In a random model positions and text say the same at each step, and attention is an average: the loudest logit
    stays the loudest, and greedy tokens repeat themselves. So tokens get larger vectors, and queries choose.
    """
    with torch.no_grad():
        for table in decoder.embed_tokens:
            table.weight.mul_(10)
        for layer in decoder.layers:
            layer.self_attn.q_proj.weight.mul_(4)


def write_checkpoint(folder: str) -> None:
    """A MusicGen of full size with random weights that matter."""
    from transformers import MusicgenConfig, MusicgenForConditionalGeneration, T5Config

    from helpers.judges import PUBLISHED_CODEC, fit_codebooks, save_musicgen, spread

    torch.manual_seed(0)
    config = MusicgenConfig(
        text_encoder=T5Config(**T5_BASE).to_dict() | {"model_type": "t5"},
        audio_encoder={"model_type": "encodec", **PUBLISHED_CODEC},
        decoder={"model_type": "musicgen_decoder", **SMALL},
    )
    model = MusicgenForConditionalGeneration(config).eval()
    spread(model)
    make_lively(model.decoder.model.decoder)
    fit_codebooks(model.audio_encoder)
    model.generation_config.update(decoder_start_token_id=2048, bos_token_id=2048, pad_token_id=2048)
    save_musicgen(Published(model), Path(folder))
    print(json.dumps({"bytes": (Path(folder) / "model.safetensors").stat().st_size}))


def memory(field: str) -> int:
    """Bytes of this process's memory: VmRSS is now, VmHWM the most there ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def load_ours(folder: str, dtype: str, out: str = "") -> None:
    """Load with measured memory; if asked, write greedy codes and their audio."""
    from safetensors.torch import save_file
    from transformers import T5EncoderModel  # noqa: F401 - its import is not part of loading

    from musicgen_edu.model.generation import delay_table, generate_codes
    from musicgen_edu.model.sampling import Sampling
    from musicgen_edu.musicgen import MusicGen

    before = memory("VmRSS")
    model = MusicGen.from_pretrained(folder, device="cpu", dtype=getattr(torch, dtype))
    peak = memory("VmHWM") - before
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in [*model.parameters(), *model.buffers()]}
    if out:
        frames = STEPS - 3
        condition = model.condition([PROMPT])
        table = delay_table(4, frames, "special")
        codes = generate_codes(model.lm, frames, [0], condition, Sampling(3.0, temperature=0, top_k=0), table)
        save_file({"codes": codes.contiguous(), "audio": model.codec.decode(codes).contiguous()}, out)
    kinds = sorted({str(tensor.dtype) for tensor in model.lm.parameters()})
    print(json.dumps({"peak": peak, "weights": sum(tensors.values()), "kinds": kinds}))


def load_theirs(folder: str, out: str) -> None:
    """The same greedy codes and audio by `transformers`."""
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    model, info = MusicgenForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    seen, decode = [], model.audio_encoder.decode
    model.audio_encoder.decode = lambda codes, *a, **k: (seen.append(codes), decode(codes, *a, **k))[1]
    tokens = AutoTokenizer.from_pretrained(folder)([PROMPT], return_tensors="pt")
    audio = model.eval().generate(**tokens, do_sample=False, guidance_scale=3.0, max_new_tokens=STEPS)
    save_file({"codes": seen[0][0].contiguous(), "audio": audio.contiguous()}, out)
    print(json.dumps({"missing": sorted(info["missing_keys"])}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if shutil.disk_usage(folder).free < 4e9 or free < 6e9:
        pytest.skip("needs 4 GB of free disk and 6 GB of free memory")
    written = child("write_checkpoint", folder)
    assert 2.3e9 < written["bytes"] < 2.5e9
    yield folder
    shutil.rmtree(folder)


def test_full_size_tokens_and_audio_equal_transformers_and_loading_takes_little_memory(folder):
    from safetensors.torch import load_file

    measured = child("load_ours", folder, "float32", folder / "ours.safetensors")
    assert child("load_theirs", folder, folder / "theirs.safetensors") == {"missing": []}
    ours, theirs = load_file(folder / "ours.safetensors"), load_file(folder / "theirs.safetensors")
    assert ours["codes"].shape == (1, 4, STEPS - 3)
    different = ours["codes"].unique().numel()
    assert different > 20  # the same few tokens all along would make the comparison empty
    assert torch.equal(ours["codes"], theirs["codes"])
    difference = (ours["audio"] - theirs["audio"]).abs().max() / theirs["audio"].abs().max()
    print(f"\n{different} different tokens; audio differs by {difference:.1e} of its peak; float32: {told(measured)}")
    assert difference < 1e-4
    check_memory(measured)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_full_size_in_half_precision_takes_half_the_memory(folder, dtype):
    measured = child("load_ours", folder, dtype)
    print(f"\n{dtype}: {told(measured)}")
    assert measured["kinds"] == [f"torch.{dtype}"]
    check_memory(measured)


def told(measured: dict) -> str:
    ratio = measured["peak"] / measured["weights"]
    return f"weights {measured['weights'] / 1e9:.3f} GB, peak {measured['peak'] / 1e9:.3f} GB, {ratio:.3f} times"


def check_memory(measured: dict) -> None:
    assert 0.9 * measured["weights"] < measured["peak"] <= 1.2 * measured["weights"], told(measured)
