"""Networks that make pictures larger: ``module`` has their kinds, ``value`` what travels on UPSCALE_MODEL links."""
