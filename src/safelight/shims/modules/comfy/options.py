"""Whether ComfyUI's command line is parsed: here it never is."""

args_parsing = False


def enable_args_parsing(enable: bool = True) -> None:
    """There is nothing to parse."""
