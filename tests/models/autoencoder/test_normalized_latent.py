"""Flux 2's autoencoder: squares of four latent pixels become channels, each with mean 0 and variance 1."""

import torch

from safelight.models.autoencoder.autoencoder_module import Autoencoder, autoencoder_shape


def pair() -> tuple[Autoencoder, Autoencoder]:
    """With and without the normalization, with the same other weights."""
    shape = autoencoder_shape(
        {
            "encoder.down.0.block.0.conv2.weight": torch.Size((32, 32, 3, 3)),
            "encoder.down.1.block.0.conv2.weight": torch.Size((32, 32, 3, 3)),
            "decoder.conv_in.weight": torch.Size((32, 4, 3, 3)),
            "post_quant_conv.weight": torch.Size((4, 4, 1, 1)),
            "bn.running_mean": torch.Size((16,)),
        }
    )
    assert shape.normalizes
    assert shape.downscale == 4
    torch.manual_seed(0)
    made = Autoencoder(shape, groups=8)
    torch.nn.init.normal_(made.bn.running_mean)
    torch.nn.init.uniform_(made.bn.running_var, 0.5, 2.0)
    plain = Autoencoder(autoencoder_shape({**SHAPES, "decoder.conv_in.weight": torch.Size((32, 4, 3, 3))}), groups=8)
    plain.load_state_dict({name: value for name, value in made.state_dict().items() if not name.startswith("bn.")})
    return made.eval(), plain.eval()


SHAPES = {
    "encoder.down.0.block.0.conv2.weight": torch.Size((32, 32, 3, 3)),
    "encoder.down.1.block.0.conv2.weight": torch.Size((32, 32, 3, 3)),
    "post_quant_conv.weight": torch.Size((4, 4, 1, 1)),
}


@torch.no_grad()
def test_latents_are_packed_and_normalized() -> None:
    made, plain = pair()
    image = torch.rand(1, 3, 16, 24) * 2 - 1
    (latent, _), (mean, _) = made.moments(image), plain.moments(image)
    assert latent.shape == (1, 16, 4, 6)
    row, column, channel = 1, 2, 3
    for y in range(2):
        for x in range(2):
            place = channel * 4 + y * 2 + x
            raw = mean[0, channel, 2 * row + y, 2 * column + x]
            expected = (raw - made.bn.running_mean[place]) / (made.bn.running_var[place] + 1e-4).sqrt()
            torch.testing.assert_close(latent[0, place, row, column], expected)
    torch.testing.assert_close(made.decode(latent), plain.decode(mean), rtol=1e-4, atol=1e-5)


def test_a_decoder_narrower_than_its_encoder_is_read_from_the_file() -> None:
    narrow = {
        **SHAPES,
        "decoder.conv_in.weight": torch.Size((16, 4, 3, 3)),
        "decoder.up.0.block.0.conv2.weight": torch.Size((8, 8, 3, 3)),
        "decoder.up.1.block.0.conv2.weight": torch.Size((16, 16, 3, 3)),
    }
    shape = autoencoder_shape(narrow)
    assert (shape.channels, shape.decoder_channels) == ((32, 32), (8, 16))
    made = Autoencoder(shape, groups=8)
    assert made.decode(torch.zeros(1, 4, 4, 4)).shape == (1, 3, 8, 8)
    assert autoencoder_shape({name: value.shape for name, value in made.state_dict().items()}).decoder_channels == (
        8,
        16,
    )
