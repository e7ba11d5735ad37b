"""The 19 corruptions of ImageNet-C in their groups, and their five severities (Hendrycks and Dietterich 2019)."""

SEVERITIES = (1, 2, 3, 4, 5)
GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
"""The 15 that are scored."""

EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""Four more, which are never part of mCE."""

SCORED = tuple(name for names in GROUPS.values() for name in names)
NAMES = SCORED + EXTRA

DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)
"""Those that draw nothing."""
