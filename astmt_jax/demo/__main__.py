"""A page in the browser that performs a run's tasks on any photo.

    pip install '.[demo]'
    python -m astmt_jax.demo --workdir=DIR

Opens with an example that the network has performed. Shows all tasks side by side, what the colours
of each mean and the time that each takes, a slider that lays predictions over the photo, and a
switch that gives all tasks the modulation of one, so that one sees what it does. The server is for
this machine only and needs no network. Photos stay in memory and in temporary files, which are
deleted after an hour and at the end.
"""

from astmt_jax.runtime import allocator

if __name__ == "__main__":
    allocator.use()

import os
from collections.abc import Sequence

from astmt_jax.command_line import arguments
from astmt_jax.command_line.errors import fail, told
from astmt_jax.demo import style
from astmt_jax.demo.examples import MOST_OF_A_FOLDER, Example, examples_for
from astmt_jax.demo.performance import Performer
from astmt_jax.demo.uploads import MAX_FILE_MEGABYTES
from astmt_jax.runtime import compilation_cache
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.trained_model import Model, load

LOOPBACK = "127.0.0.1"
EXTRA_MISSING = "The demo needs Gradio, which is not installed: pip install '.[demo]'."


def launch(
    model: Model,
    name: str,
    examples: Sequence[Example],
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    block: bool = True,
) -> str:
    """Serves the page.

    Args:
      model: what is shown.
      name: of its folder.
      examples: photos to pick from; the page opens with the first, performed.
      host: address to listen at.
      port: to listen at; None is the first free one from 7860 on.
      block: until interrupted; if not, the server runs as long as this process.

    Returns:
      The page's address.

    Raises:
      ModuleNotFoundError: Gradio is not installed.
      OSError: the port is taken.
    """
    # Before the import: Gradio would report that it was imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio as gr
    from starlette.middleware import Middleware

    from astmt_jax.demo import page
    from astmt_jax.demo.guard import Guard

    if examples:
        CONSOLE.print("Performing the first example, with which the page opens ...")
    blocks = page.build(model, name, examples, Performer(model))
    guard = Middleware(Guard, host=host)
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,  # errors that are not meant for users hold paths
        ssr_mode=False,
        enable_monitoring=False,
        max_file_size=f"{MAX_FILE_MEGABYTES}mb",
        allowed_paths=[],
        footer_links=[],
        css=style.STYLE,
        head=style.HEAD,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None},
    )
    if block:
        CONSOLE.print(f"The demo is at {address} - Ctrl-C ends it.")
        blocks.block_thread()
    return address


def main(argv: list[str] | None = None) -> None:
    parser = arguments.parser("demo", __doc__)
    arguments.add_workdir(parser)
    add = parser.add_argument
    add("--port", type=int, help="port to listen at (default: the first free one from 7860 on)")
    add(
        "--host",
        default=LOOPBACK,
        help="address to listen at (default: this machine only; there is no password)",
    )
    add(
        "--examples",
        type=arguments.path,
        metavar="FOLDER",
        help=f"photos to pick from, at most {MOST_OF_A_FOLDER} (default: images of the evaluation "
        "split in --data_dir, or else rendered scenes)",
    )
    arguments.add_data_dir(parser)
    args = arguments.parse(parser, argv)
    compilation_cache.enable()
    with told():
        model = load(args.workdir)
        examples = examples_for(model, args.data_dir, args.examples)
        try:
            launch(model, args.workdir.resolve().name, examples, host=args.host, port=args.port)
        except ModuleNotFoundError as error:
            if error.name != "gradio":
                raise
            fail(EXTRA_MISSING)


if __name__ == "__main__":
    main()
