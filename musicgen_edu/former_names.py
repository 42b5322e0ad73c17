"""The module paths of before the rooms, for notebooks and scripts that were written with them.

Each leads to the module that holds its names now, with a `DeprecationWarning`; the next version drops them.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    "audio": "model.audio figures.players figures.picture",
    **{name: f"model.{name}" for name in ("shapes", "pcm", "quantization", "encodec", "patterns", "embedding")},
    **{name: f"model.{name}" for name in ("decoder", "lm", "text", "sampling", "continuation", "streaming")},
    "generation": "model.generation model.settings",
    "decoder_step": "fast.step",
    "int8": "fast.int8",
    "cuda_graph": "fast.cuda_graph",
    "attention_maps": "analysis.attention_maps",
    "pattern_likelihood": "analysis.pattern_likelihood",
    "published": "checkpoints.published",
    "hub": "checkpoints.hub",
    "weight_files": "checkpoints.weights",
    "audiocraft_files": "checkpoints.audiocraft",
    "translation": "app.translation",
    "waiting_line": "app.waiting_line",
    **{f"app_{name}": f"app.{name}" for name in ("layout", "page", "request", "service")},
    "app_text": "app.texts",
    "training.disk": "files",
    "training.export": "checkpoints.save",
    "training.own_format": "checkpoints.own_format",
    "training.musiccaps_recipe": "experiments.musiccaps_recipe",
    "training.synthetic_codes": "experiments.patterns.synthetic_codes",
}


class _FormerNames(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == __package__ and name in FORMER else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        homes = [f"{__package__}.{home}" for home in FORMER[module.__name__.partition(".")[2]].split()]
        warnings.warn(f"{module.__name__} is now {' and '.join(homes)}", DeprecationWarning, stacklevel=2)
        if len(homes) == 1:
            sys.modules[module.__name__] = import_module(homes[0])  # what the import then gives
        else:
            module.__getattr__ = lambda name: _find(name, homes)


def _find(name: str, homes: list[str]) -> object:
    for home in map(import_module, homes):
        if hasattr(home, name):
            return getattr(home, name)
    raise AttributeError(f"neither of {', '.join(homes)} has {name}")


def install() -> None:
    """Let the former paths be imported; what is a module now comes first."""
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(_FormerNames())
