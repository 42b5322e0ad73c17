"""`musicgen-edu app`: its options, and what they start."""

from __future__ import annotations

import argparse

from .options import add_model_options, model_loader

DESCRIPTION = """Serve a page that turns prompts into music and plays it while it is being made.

It is served to this computer only, unless --host says otherwise, and sends nothing to anybody. It offers the
models that --model names, and loads no other."""


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `app` to the command line."""
    app = commands.add_parser(
        "app",
        help="serve a page that plays music while it is being made",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    app.add_argument(
        "--model",
        nargs="+",
        default=["tiny"],
        metavar="NAME",
        help="tiny, folders or hub names that the page offers; the first one is loaded at once (default: tiny)",
    )
    add_model_options(app)
    app.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this computer)")
    app.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860 on)")
    app.add_argument(
        "--translator",
        metavar="NAME",
        help="a translation model from Chinese to English for Chinese prompts, such as Helsinki-NLP/opus-mt-zh-en "
        "(default: none)",
    )
    app.add_argument("--max-seconds", type=float, default=30.0, help="the longest clip (default: %(default)g)")
    app.add_argument("--queue", type=int, default=8, help="how many requests may wait (default: %(default)s)")
    app.add_argument("--concurrent", type=int, default=1, help="how many are made at once (default: %(default)s)")
    app.set_defaults(run=run_app)


def run_app(arguments: argparse.Namespace) -> None:
    """Load what was named, and serve until interrupted."""
    from ..app.service import Limits, Models, Service

    limits = Limits(arguments.max_seconds, arguments.queue, arguments.concurrent)
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        raise ValueError(f"--port must be 1 to 65535, not {arguments.port}")
    try:
        from ..app.serve import launch
    except ImportError as error:
        raise ValueError(f"the app needs a package that is missing ({error.name}): pip install gradio") from error
    from ..app.translation import Translator

    models = Models(arguments.model, model_loader(arguments))
    models.get(models.names[0])
    translator = Translator.from_pretrained(arguments.translator) if arguments.translator else None
    launch(Service(models, limits, translator), arguments.host, arguments.port)
