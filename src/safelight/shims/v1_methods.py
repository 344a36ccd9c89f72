"""How ComfyUI's node classes are called: the method of each, and the order of its positional arguments.

Facts of ComfyUI 0.8.0. Packs call other nodes directly: ``nodes.VAEDecode().decode(vae, latent)``. The order of a
method's parameters is often, but not always, that of the declared inputs; only the methods that differ are listed.
"""

_METHODS = {
    "addWeighted": "ConditioningAverage",
    "add_noise": "AddNoise",
    "adjust_volume": "AudioAdjustVolume",
    "append": """
        ConditioningSetArea ConditioningSetAreaPercentage ConditioningSetAreaPercentageVideo
        ConditioningSetAreaStrength ConditioningSetMask ConditioningStableAudio FluxDisableGuidance
        FluxGuidance FluxKontextMultiReferenceLatentMethod GLIGENTextBoxApply
    """,
    "apply_adm": "unCLIPConditioning",
    "apply_controlnet": "ControlNetApply ControlNetApplyAdvanced ControlNetApplySD3",
    "apply_hooks": "SetClipHooks",
    "apply_inpaint_controlnet": "ControlNetInpaintingAliMamaApply",
    "apply_patch": "USOStyleReference",
    "apply_stylemodel": "StyleModelApply",
    "batch": "ImageBatch",
    "blend": "LatentBlend",
    "combine": "ConditioningCombine MaskComposite PairConditioningCombine",
    "combine_hooks": "CombineHooks2 CombineHooks4 CombineHooks8",
    "composite": "ImageCompositeMasked LatentComposite LatentCompositeMasked",
    "concat": "AudioConcat ConditioningConcat",
    "create_empty_audio": "EmptyAudio",
    "create_hook": "CreateHookLora CreateHookModelAsLora",
    "create_hook_keyframe": "CreateHookKeyframe",
    "create_hook_keyframes": "CreateHookKeyframesFromFloats CreateHookKeyframesInterpolated",
    "create_hook_model_only": "CreateHookLoraModelOnly CreateHookModelAsLoraModelOnly",
    "create_range": "ConditioningTimestepsRange",
    "crop": "CropMask ImageCrop LTXVCropGuides LatentCrop",
    "decode": "VAEDecode VAEDecodeAudio VAEDecodeHunyuan3D VAEDecodeTiled VoxelToMesh VoxelToMeshBasic",
    "diffsynth_controlnet": "QwenImageDiffsynthControlnet ZImageFunControlnet",
    "encode": """
        CLIPTextEncode CLIPTextEncodeFlux CLIPTextEncodeHunyuanDiT CLIPTextEncodeSD3 CLIPVisionEncode
        Hunyuan3Dv2Conditioning Hunyuan3Dv2ConditioningMultiView HunyuanImageToVideo
        InpaintModelConditioning SVD_img2vid_Conditioning TextEncodeHunyuanVideo_ImageToVideo VAEEncode
        VAEEncodeAudio VAEEncodeForInpaint VAEEncodeTiled
    """,
    "expand_image": "ImagePadForOutpaint",
    "expand_mask": "GrowMask",
    "extend": "ExtendIntermediateSigmas",
    "feather": "FeatherMask",
    "flip": "ImageFlip LatentFlip",
    "frombatch": "ImageFromBatch LatentFromBatch",
    "generate": """
        EmptyHunyuanImageLatent EmptyHunyuanLatentVideo EmptyImage EmptyLTXVLatentVideo EmptyLatentAudio
        EmptyLatentHunyuan3Dv2 EmptyLatentImage EmptySD3LatentImage LTXVAddGuide LTXVImgToVideo
        LTXVImgToVideoInplace
    """,
    "get_guider": "BasicGuider CFGGuider DualCFGGuider",
    "get_noise": "DisableNoise RandomNoise",
    "get_sampler": """
        KSamplerSelect SamplerDPMAdaptative SamplerDPMPP_2M_SDE SamplerDPMPP_2S_Ancestral
        SamplerDPMPP_3M_SDE SamplerDPMPP_SDE SamplerER_SDE SamplerEulerAncestral SamplerEulerAncestralCFGPP
        SamplerLMS SamplerSASolver
    """,
    "get_sigma": "SamplingPercentToSigma",
    "get_sigmas": """
        BasicScheduler BetaSamplingScheduler ExponentialScheduler FlipSigmas KarrasScheduler
        LaplaceScheduler PolyexponentialScheduler SDTurboScheduler SplitSigmas SplitSigmasDenoise
        VPScheduler
    """,
    "get_size": "GetImageSize",
    "image_to_mask": "ImageColorToMask ImageToMask ThresholdMask",
    "invert": "ImageInvert InvertMask",
    "load": "LoadAudio LoadLatent RecordAudio",
    "load_capture": "WebcamCapture",
    "load_checkpoint": """
        CheckpointLoader CheckpointLoaderSimple DiffusersLoader ImageOnlyCheckpointLoader
        unCLIPCheckpointLoader
    """,
    "load_clip": "CLIPLoader CLIPVisionLoader DualCLIPLoader TripleCLIPLoader",
    "load_controlnet": "ControlNetLoader DiffControlNetLoader",
    "load_gligen": "GLIGENLoader",
    "load_hypernetwork": "HypernetworkLoader",
    "load_image": "LoadImage LoadImageMask LoadImageOutput",
    "load_lora": "LoraLoader",
    "load_lora_model_only": "LoraLoaderModelOnly",
    "load_model": "UpscaleModelLoader",
    "load_model_patch": "ModelPatchLoader",
    "load_style_model": "StyleModelLoader",
    "load_unet": "UNETLoader",
    "load_vae": "VAELoader",
    "main": "PreviewAny",
    "mask_to_image": "MaskToImage",
    "merge": """
        AudioMerge CLIPMergeAdd CLIPMergeSimple CLIPMergeSubtract ModelMergeAdd ModelMergeAuraflow
        ModelMergeBlocks ModelMergeCosmos14B ModelMergeCosmos7B ModelMergeCosmosPredict2_14B
        ModelMergeCosmosPredict2_2B ModelMergeFlux1 ModelMergeLTXV ModelMergeMochiPreview
        ModelMergeQwenImage ModelMergeSD1 ModelMergeSD2 ModelMergeSD35_Large ModelMergeSD3_2B ModelMergeSDXL
        ModelMergeSimple ModelMergeSubtract ModelMergeWAN2_1
    """,
    "patch": """
        FreeU FreeU_V2 ModelComputeDtype ModelSamplingContinuousEDM ModelSamplingContinuousV
        ModelSamplingDiscrete ModelSamplingFlux ModelSamplingSD3 ModelSamplingStableCascade RescaleCFG
        VideoLinearCFGGuidance VideoTriangleCFGGuidance
    """,
    "patch_aura": "ModelSamplingAuraFlow",
    "preprocess": "LTXVPreprocess",
    "process": "Load3D Preview3D",
    "repeat": "ImageAddNoise RepeatImageBatch RepeatLatentBatch",
    "resize_and_pad": "ResizeAndPadImage",
    "rotate": "ImageRotate LatentRotate",
    "sample": "KSampler KSamplerAdvanced SamplerCustom SamplerCustomAdvanced",
    "save": "CLIPSave CheckpointSave ImageOnlyCheckpointSave ModelSave SaveLatent VAESave",
    "save_flac": "PreviewAudio SaveAudio",
    "save_images": "PreviewImage SaveAnimatedPNG SaveAnimatedWEBP SaveImage",
    "save_mp3": "SaveAudioMP3",
    "save_opus": "SaveAudioOpus",
    "save_svg": "SaveSVGNode",
    "scale": "FluxKontextImageScale",
    "separate": "SplitAudioChannels",
    "set_controlnet_type": "SetUnionControlNetType",
    "set_default_and_combine": "ConditioningSetDefaultCombine PairConditioningSetDefaultCombine",
    "set_first_sigma": "SetFirstSigma",
    "set_hook_keyframes": "SetHookKeyframes",
    "set_last_layer": "CLIPSetLastLayer",
    "set_mask": "SetLatentNoiseMask",
    "set_properties": """
        ConditioningSetProperties ConditioningSetPropertiesAndCombine PairConditioningSetProperties
        PairConditioningSetPropertiesAndCombine
    """,
    "set_range": "ConditioningSetTimestepRange",
    "skip_guidance": "SkipLayerGuidanceDiT SkipLayerGuidanceDiTSimple",
    "skip_guidance_sd3": "SkipLayerGuidanceSD3",
    "solid": "SolidMask",
    "stitch": "ImageStitch",
    "trim": "TrimAudioDuration",
    "upsample_latent": "LTXVLatentUpsampler",
    "upscale": "ImageScale ImageScaleBy ImageScaleToMaxDimension ImageUpscaleWithModel LatentUpscale LatentUpscaleBy",
    "zero_out": "ConditioningZeroOut",
}
"""The nodes of each method, among them nodes in V3 form that have kept the method of their earlier V1 form."""

_POSITIONS = {
    "CLIPTextEncode": "clip text",
    "CLIPTextEncodeLumina2": "clip user_prompt system_prompt",
    "CLIPTextEncodePixArtAlpha": "clip width height text",
    "CLIPTextEncodeSDXLRefiner": "clip ascore width height text",
    "ComfySwitchNode": "switch on_true on_false",
    "ConditioningSetMask": "conditioning mask set_cond_area strength",
    "ControlNetApplySD3": "positive negative control_net image strength start_percent end_percent vae",
    "CreateHookKeyframesFromFloats": "floats_strength start_percent end_percent prev_hook_kf print_keyframes",
    "GenerateTracks": """
        width height start_x start_y mid_x mid_y end_x end_y num_frames num_tracks track_spread bezier interpolation
        track_mask
    """,
    "InpaintModelConditioning": "positive negative pixels vae mask noise_mask",
    "InstructPixToPixConditioning": "positive negative pixels vae",
    "LTXVImgToVideo": "positive negative image vae width height length batch_size strength",
    "ResizeImageMaskNode": "input scale_method resize_type",
    "SaveWEBM": "images codec fps filename_prefix crf",
    "SetClipHooks": "clip schedule_clip apply_to_conds hooks",
    "SkipLayerGuidanceDiT": "model scale start_percent end_percent double_layers single_layers rescaling_scale",
    "SkipLayerGuidanceDiTSimple": "model start_percent end_percent double_layers single_layers",
    "TrainLoraNode": """
        model latents positive batch_size steps grad_accumulation_steps learning_rate rank optimizer loss_function
        seed training_dtype lora_dtype algorithm gradient_checkpointing existing_lora bucket_mode
    """,
    "VAEDecode": "vae samples",
    "VAEDecodeAudio": "vae samples",
    "VAEDecodeHunyuan3D": "vae samples num_chunks octree_resolution",
    "VAEDecodeTiled": "vae samples tile_size overlap temporal_size temporal_overlap",
    "VAEEncode": "vae pixels",
    "VAEEncodeAudio": "vae audio",
    "VAEEncodeForInpaint": "vae pixels mask grow_mask_by",
    "VAEEncodeTiled": "vae pixels tile_size overlap temporal_size temporal_overlap",
    "WanAnimateToVideo": """
        positive negative vae width height length batch_size continue_motion_max_frames video_frame_offset
        reference_image clip_vision_output face_video pose_video continue_motion background_video character_mask
    """,
    "WanCameraImageToVideo": """
        positive negative vae width height length batch_size start_image clip_vision_output camera_conditions
    """,
    "WanFirstLastFrameToVideo": """
        positive negative vae width height length batch_size start_image end_image clip_vision_start_image
        clip_vision_end_image
    """,
    "WanFunControlToVideo": """
        positive negative vae width height length batch_size start_image clip_vision_output control_video
    """,
    "WanFunInpaintToVideo": """
        positive negative vae width height length batch_size start_image end_image clip_vision_output
    """,
    "WanHuMoImageToVideo": "positive negative vae width height length batch_size ref_image audio_encoder_output",
    "WanImageToVideo": "positive negative vae width height length batch_size start_image clip_vision_output",
    "WanMoveTrackToVideo": """
        positive negative vae width height length batch_size strength tracks start_image clip_vision_output
    """,
    "WanSoundImageToVideo": """
        positive negative vae width height length batch_size ref_image audio_encoder_output control_video ref_motion
    """,
    "WanSoundImageToVideoExtend": """
        positive negative vae length video_latent ref_image audio_encoder_output control_video
    """,
    "ZImageFunControlnet": "model model_patch vae image strength inpaint_image mask",
}

METHODS = {node_id: method for method, ids in _METHODS.items() for node_id in ids.split()}
"""The method's name by node id; other nodes are called by ``execute``."""

POSITIONS = {node_id: tuple(names.split()) for node_id, names in _POSITIONS.items()}
"""The inputs in the order of the method's parameters, where it is not the declared order."""
