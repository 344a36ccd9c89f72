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


def ltx2_audio():
    from comfy.ldm.lightricks.vae.causal_audio_autoencoder import CausalAudioAutoencoder
    from comfy.ldm.lightricks.vocoders.vocoder import Vocoder

    settings = CausalAudioAutoencoder._guess_config(None)
    for part in settings["model"]["params"].values():
        part["ch"] = 16
        part["num_res_blocks"] = 1
    autoencoder = filled(CausalAudioAutoencoder(settings))
    vocoder = filled(Vocoder({"upsample_initial_channel": 64}))
    latent = cases.drawn("latent", [2, 8, 3, 16])
    shape = (2, 2, 9, 64)
    statistics = autoencoder.per_channel_statistics
    rows = latent.transpose(1, 2).flatten(2)
    inverse = statistics.un_normalize(rows).reshape(2, 3, 8, 16).transpose(1, 2)
    decoded = autoencoder.decode(inverse, target_shape=shape)
    waveform = vocoder(decoded.transpose(2, 3))
    mel = cases.drawn("mel", [1, 2, 9, 64])
    encoded = autoencoder.encode(mel)[:, :8]
    rows = statistics.normalize(encoded.transpose(1, 2).flatten(2))
    encoded = rows.reshape(1, 3, 8, 16).transpose(1, 2)
    return {"decoded": decoded, "waveform": waveform, "encoded": encoded}


def ltx2_connector():
    import comfy.ops
    from comfy.ldm.lightricks.embeddings_connector import Embeddings1DConnector

    module = filled(
        Embeddings1DConnector(
            attention_head_dim=128,
            num_attention_heads=2,
            split_rope=True,
            double_precision_rope=True,
            dtype=torch.float32,
            operations=comfy.ops.disable_weight_init,
        )
    )
    return {"features": module(cases.drawn("text", [1, 7, 256]))[0][:, ::16]}


def latent_upsampler(**settings):
    from comfy.ldm.lightricks.latent_upsampler import LatentUpsampler

    module = LatentUpsampler.from_config(
        {"in_channels": 128, "mid_channels": 32, "num_blocks_per_stage": 1, "dims": 3, **settings}
    )
    return {"enlarged": filled(module)(cases.drawn("latent", [1, 128, 2, 3, 4]))}


CASES = {
    "ltx autoencoder 0.9": lambda: ltx_autoencoder(0),
    "ltx autoencoder 0.9.1": lambda: ltx_autoencoder(1),
    "ltx autoencoder 0.9.5": lambda: ltx_autoencoder(2),
    "oobleck autoencoder": oobleck,
    "ltx-2 audio autoencoder and vocoder": ltx2_audio,
    "ltx-2 connector": ltx2_connector,
    "latent upsampler in space": latent_upsampler,
    "latent upsampler by 1.5": lambda: latent_upsampler(rational_resampler=True, spatial_scale=1.5),
    "latent upsampler in time": lambda: latent_upsampler(spatial_upsample=False, temporal_upsample=True),
    "latent upsampler in both": lambda: latent_upsampler(temporal_upsample=True),
}

torch.set_num_threads(1)
with torch.inference_mode():
    for name in NAMES or CASES:
        made = {key: value.float().contiguous().clone() for key, value in CASES[name]().items()}
        save_file(made, Path(OUT) / f"{name}.safetensors")
