"""Whether ComfyUI's command line is parsed: never, here."""

args_parsing = False


def enable_args_parsing(enable: bool = True) -> None:
    """Does nothing: there is no command line."""
