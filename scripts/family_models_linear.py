"""Tiny models with gated DeltaNet (Qwen3-Next, Qwen3.5), and Qwen3-VL-MoE: for record_family_logits.py."""

from family_models import EPSILON, VOCABULARY, Family, dense, gated_mlp, renamed

HIDDEN, HEAD, INNER, EXPERTS = 64, 32, 96, 8  # 2 x inner is not hidden: the shape tells how experts lie


def hybrid(architecture, model_type, **fields):
    return dense(architecture, model_type, head_dim=HEAD, num_hidden_layers=4, full_attention_interval=2,
                 linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=32,
                 linear_conv_kernel_dim=4, rms_norm_eps=1e-6, attention_bias=False) | fields


def experts(**fields):
    return {"num_experts": EXPERTS, "num_experts_per_tok": 3, "moe_intermediate_size": INNER,
            "shared_expert_intermediate_size": 64} | fields


def next_token_module(mlp):
    """mtp.*: a layer with full attention, behind a projection of embedding and hidden state."""
    shapes = {"fc.weight": [HIDDEN, 2 * HIDDEN], "pre_fc_norm_embedding.weight": [HIDDEN],
              "pre_fc_norm_hidden.weight": [HIDDEN], "norm.weight": [HIDDEN]}
    layer = {"input_layernorm.weight": [HIDDEN], "post_attention_layernorm.weight": [HIDDEN],
             "self_attn.q_proj.weight": [4 * 2 * HEAD, HIDDEN], "self_attn.k_proj.weight": [2 * HEAD, HIDDEN],
             "self_attn.v_proj.weight": [2 * HEAD, HIDDEN], "self_attn.o_proj.weight": [HIDDEN, 4 * HEAD],
             "self_attn.q_norm.weight": [HEAD], "self_attn.k_norm.weight": [HEAD]} | mlp
    return {f"mtp.{name}": shape for name, shape in (shapes | {f"layers.0.{n}": s for n, s in layer.items()}).items()}


def sparse_mlp(fused):
    shapes = {"mlp.gate.weight": [EXPERTS, HIDDEN], "mlp.shared_expert_gate.weight": [1, HIDDEN]}
    shapes |= gated_mlp("mlp.shared_expert", HIDDEN, 64)
    if fused:
        return shapes | {"mlp.experts.gate_up_proj": [EXPERTS, 2 * INNER, HIDDEN],
                         "mlp.experts.down_proj": [EXPERTS, HIDDEN, INNER]}
    for expert in range(EXPERTS):
        shapes |= gated_mlp(f"mlp.experts.{expert}", HIDDEN, INNER)
    return shapes


def fuse_experts(shapes):
    """As Qwen publishes 3.5: gate_up_proj [experts, 2 inner, hidden] and down_proj [experts, hidden, inner]."""
    fused = {name: shape for name, shape in shapes.items() if ".experts." not in name}
    for name, shape in shapes.items():
        if name.endswith(".experts.0.gate_proj.weight"):
            inner, hidden = shape
            prefix = name.removesuffix("0.gate_proj.weight")
            fused[prefix + "gate_up_proj"] = [EXPERTS, 2 * inner, hidden]
            fused[prefix + "down_proj"] = [EXPERTS, hidden, inner]
    return fused


def transpose_experts(shapes):
    """As Qwen publishes them, [experts, inputs, outputs]; save_pretrained writes [experts, outputs, inputs]."""
    return {name: [shape[0], shape[2], shape[1]] if ".experts." in name else shape for name, shape in shapes.items()}


def mrope(**fields):
    return {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25, "mrope_interleaved": True,
            "mrope_section": [2, 1, 1]} | fields


def without(config, *fields):
    return {key: value for key, value in config.items() if key not in fields}


VISION = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "in_channels": 3, "patch_size": 4,
          "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": HIDDEN, "num_position_embeddings": 16}
TOKENS = {"image_token_id": 95, "video_token_id": 94, "vision_start_token_id": 93, "vision_end_token_id": 92}


def wrapped(architecture, model_type, text, **vision):
    return {"architectures": [architecture], "model_type": model_type, "text_config": without(text, "architectures"),
            "vision_config": VISION | {"model_type": f"{model_type}_vision"} | vision, "tie_word_embeddings": False,
            "torch_dtype": "float32"} | TOKENS


def families():
    rotary = ("partial_rotary", {"partial_rotary_factor": 0.5})
    zero_centred = {"norm_center": 0.0}
    yield Family("qwen3_next", hybrid(
        "Qwen3NextForCausalLM", "qwen3_next", partial_rotary_factor=0.25, norm_topk_prob=True, decoder_sparse_step=1,
        mlp_only_layers=[1], **experts()), [
            EPSILON, ("not_normalised", {"norm_topk_prob": False}), ("top_2", {"num_experts_per_tok": 2}), rotary],
        extra=next_token_module(sparse_mlp(fused=False)), **zero_centred)
    dense35 = without(hybrid("Qwen3_5ForCausalLM", "qwen3_5_text", rope_parameters=mrope()), "rope_theta")
    rotary = ("partial_rotary", {"rope_parameters": {"partial_rotary_factor": 0.5, "mrope_section": [4, 2, 2]}})
    yield Family("qwen3_5", dense35, [EPSILON, rotary], layout=plain_prefix, **zero_centred)
    moe35 = without(hybrid("Qwen3_5MoeForCausalLM", "qwen3_5_moe_text", rope_parameters=mrope(), **experts()),
                    "rope_theta", "intermediate_size")
    yield Family("qwen3_5_moe", moe35, [EPSILON, ("top_2", {"num_experts_per_tok": 2})], layout=plain_prefix,
                 **zero_centred)
    yield Family("qwen3_5_wrapped", wrapped("Qwen3_5ForConditionalGeneration", "qwen3_5", dense35),
                 [("rms_norm_eps", {"text_config": {"rms_norm_eps": 0.01}})],
                 extra=next_token_module(gated_mlp("mlp", HIDDEN, 96)), **zero_centred)
    yield Family("qwen3_5_moe_wrapped", wrapped("Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", moe35),
                 [("top_2", {"text_config": {"num_experts_per_tok": 2}})], layout=fuse_experts,
                 extra=next_token_module(sparse_mlp(fused=True)), **zero_centred)
    vl = without(dense("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe_text", head_dim=HEAD, num_experts=EXPERTS,
                       num_experts_per_tok=3, moe_intermediate_size=INNER, decoder_sparse_step=1, mlp_only_layers=[1],
                       rope_theta=5000000.0, norm_topk_prob=True, attention_bias=False, rope_scaling={
                           "mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"}),
                 "architectures")
    yield Family("qwen3_vl_moe", wrapped("Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe", vl,
                                         deepstack_visual_indexes=[0]),
                 [("top_2", {"text_config": {"num_experts_per_tok": 2}}),
                  ("rope_theta", {"text_config": {"rope_theta": 500.0}})],
                 layout=transpose_experts, experts_transposed=True)


def plain_prefix(shapes):
    """A text model on its own: model., not the wrapper's model.language_model. which save_pretrained would write."""
    return renamed(shapes, [(r"^model\.language_model\.", "model.")])
