"""LoRA files of every common dialect, read into layers of weight patches on a network's canonical weight names.

``file`` reads; ``parts`` says what a key of a file means; ``names`` and ``unet_names`` say which weight it is for;
``changes`` holds the formulae.
"""
