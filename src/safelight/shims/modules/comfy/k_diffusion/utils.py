"""The extensions of image files."""

from safelight.shims.absent import absent, absent_attributes

__getattr__ = absent_attributes(__name__)


class FolderOfImages(absent("comfy.k_diffusion.utils.FolderOfImages")):  # type: ignore[misc]
    IMG_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})
