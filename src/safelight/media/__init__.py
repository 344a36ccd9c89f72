"""Files to arrays and back: images, video, audio, weights and their metadata. No torch.

* ``audio``: read, write and resample audio.
* ``avif``: write AVIF.
* ``container``: open audio and video files.
* ``contact_sheet``: a grid of pictures with the values of its axes.
* ``convert_weights``: convert a pickled checkpoint to safetensors, in a confined process.
* ``deep_png``: write PNG with 16 bits per channel.
* ``media_errors``: errors of files.
* ``exr``: write OpenEXR.
* ``gguf_header``: read and check the header of a GGUF file.
* ``image``: decode images, and write PNG and WebP.
* ``image_header``: open an image within a size limit.
* ``metadata``: the prompt and the workflow in a saved file.
* ``pickled_weights``: read the tensors of a pickle without running it.
* ``safetensors_header``: read and check the header of a safetensors file.
* ``sniff``: detect the MIME type of a file.
* ``thumbnail``: render previews and thumbnails.
* ``video``: read, write and copy videos.
* ``video_facts``: properties of a video without decoding it.
* ``weights_format``: detect the format of a weights file, and refuse pickles.
"""
