"""`musicgen-edu app`: serve the page."""

from __future__ import annotations

import argparse

from ..app.request import Limits
from .options import Fields, add_command, add_model_options, model_loader

DESCRIPTION = """Serve a page that turns prompts into music and plays it while it is being made.

It is served to this computer only, unless --host says otherwise, and sends nothing to anybody. It offers the
models that --model names, and loads no other."""
LIMITS = Fields(
    Limits(),
    max_seconds=("seconds", "the longest clip"),
    queue=("queue", "how many requests may wait"),
    concurrent=("concurrent", "how many are made at once"),
)


def add_app(commands: argparse._SubParsersAction) -> None:
    """Add `app` to the command line."""
    parser = add_command(commands, "app", "serve a page that plays music while it is being made", DESCRIPTION)
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        default=["tiny"],
        metavar="NAME",
        help="tiny, folders or hub names that the page offers; the first one is loaded at once (default: tiny)",
    )
    add_model_options(parser)
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this computer)")
    add("--port", type=int, metavar="N", help="port to listen on (default: the first free one from 7860 on)")
    add(
        "--translator",
        metavar="NAME",
        help="a translation model from Chinese to English for Chinese prompts, such as Helsinki-NLP/opus-mt-zh-en "
        "(default: none)",
    )
    LIMITS.add_to(parser)
    parser.set_defaults(run=run_app)


def run_app(arguments: argparse.Namespace) -> None:
    """Load what was named, and serve until interrupted."""
    limits = LIMITS.make(arguments)
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        raise ValueError(f"--port must be 1 to 65535, not {arguments.port}")
    try:
        from ..app.serve import launch
    except ImportError as error:
        raise ValueError(f"the app needs a package that is missing ({error.name}): pip install gradio") from error
    from ..app.service import Models, Service
    from ..app.translation import Translator

    models = Models(arguments.model, model_loader(arguments))
    models.get(models.names[0])
    translator = Translator.from_pretrained(arguments.translator) if arguments.translator else None
    launch(Service(models, limits, translator), arguments.host, arguments.port)
