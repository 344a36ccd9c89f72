"""Runs the cases of ``modules.py`` in a ComfyUI. Started by it, with ComfyUI's interpreter: ``python comfyui_modules.py
COMFYUI OUT NAME ...``; writes ``OUT/NAME.safetensors``."""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMFYUI, OUT, *NAMES = sys.argv[1:]
sys.path[:0] = [COMFYUI, str(HERE)]
sys.argv = ["main.py", "--cpu", "--base-directory", tempfile.mkdtemp()]

# isort: off
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import module_cases as cases  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
# isort: on


def filled(module):
    state = {name: cases.weight(name, list(value.shape)) for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def ltx_autoencoder(version):
    from comfy.ldm.lightricks.vae.causal_video_autoencoder import VideoVAE

    settings = VideoVAE.guess_config(None, version)
    for blocks in ("blocks", "encoder_blocks", "decoder_blocks"):
        for block in settings.get(blocks, ()):
            if block[0] == "res_x" and isinstance(block[1], dict):
                block[1]["num_layers"] = 1
            elif block[0] == "res_x":
                block[1] = 1
    module = filled(VideoVAE(version, settings))
    latent = cases.drawn("latent", [1, 128, 2, 2, 3])
    frames = cases.drawn("frames", [1, 3, 9, 32, 64]).clamp(-1, 1)
    torch.manual_seed(cases.SEED)
    return {"decoded": module.decode(latent)[..., ::8, ::8], "encoded": module.encode(frames)}


def oobleck():
    from comfy.ldm.audio.autoencoder import AudioOobleckVAE

    module = filled(AudioOobleckVAE(channels=8))
    latent, waveform = cases.drawn("latent", [2, 64, 3]), cases.drawn("waveform", [1, 2, 2048 * 3])
    return {"decoded": module.decode(latent), "encoded": module.encoder(waveform).chunk(2, dim=1)[0]}


CASES = {
    "ltx autoencoder 0.9": lambda: ltx_autoencoder(0),
    "ltx autoencoder 0.9.1": lambda: ltx_autoencoder(1),
    "ltx autoencoder 0.9.5": lambda: ltx_autoencoder(2),
    "oobleck autoencoder": oobleck,
}

torch.set_num_threads(1)
with torch.inference_mode():
    for name in NAMES or CASES:
        made = {key: value.float().contiguous().clone() for key, value in CASES[name]().items()}
        save_file(made, Path(OUT) / f"{name}.safetensors")
