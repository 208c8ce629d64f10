"""Tiny models with latent attention (DeepSeek, Kimi, newer GLM): for record_family_logits.py."""

from family_models import EPSILON, Family, dense, next_token_layer, renamed, sigmoid_experts, yarn


def latent(architecture, model_type, **fields):
    return dense(architecture, model_type, num_key_value_heads=4, q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=32,
                 qk_rope_head_dim=16, v_head_dim=24, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3,
                 moe_intermediate_size=32, first_k_dense_replace=1, attention_bias=False, moe_layer_freq=1) | fields


def sigmoid(**fields):
    return {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": True, "routed_scaling_factor": 2.5,
            "n_group": 4, "topk_group": 2} | fields


def latent_weights(prefix, q_rank=32):
    shapes = {"q_a_proj.weight": [q_rank, 64], "q_a_layernorm.weight": [q_rank], "q_b_proj.weight": [192, q_rank],
              "kv_a_proj_with_mqa.weight": [48, 64], "kv_a_layernorm.weight": [32], "kv_b_proj.weight": [224, 32],
              "o_proj.weight": [64, 96]}
    return {f"{prefix}.self_attn.{name}": shape for name, shape in shapes.items()}


SPARSE_ATTENTION = {"index_n_heads": 2, "index_head_dim": 32, "index_topk": 256}


def families():
    greedy = {"topk_method": "greedy", "scoring_func": "softmax", "norm_topk_prob": False, "n_group": 1, "topk_group": 1,
              "routed_scaling_factor": 1.0}
    grouped = {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 1.5}
    yield Family("deepseek_v2_lite", latent("DeepseekV2ForCausalLM", "deepseek_v2", q_lora_rank=None, **greedy), [
        EPSILON, ("scaling", {"routed_scaling_factor": 2.0}), ("top_2", {"num_experts_per_tok": 2})])
    yield Family("deepseek_v2", latent("DeepseekV2ForCausalLM", "deepseek_v2", rms_norm_eps=1e-6, **(greedy | grouped),
                                       rope_scaling=yarn(mscale=0.707, mscale_all_dim=0.707)), [
        EPSILON, ("more_groups", {"topk_group": 3}), ("greedy", {"topk_method": "greedy"}),
        ("mscale", {"rope_scaling": {"mscale": 1.0}}), ("no_yarn", {"rope_scaling": None})])
    deepseek = latent("DeepseekV3ForCausalLM", "deepseek_v3", rms_norm_eps=1e-6, n_shared_experts=1, **sigmoid(),
                      num_nextn_predict_layers=1, rope_scaling=yarn(mscale=1.0, mscale_all_dim=1.0))
    extra = {**next_token_layer("model.layers.3", 64), **latent_weights("model.layers.3"),
             **sigmoid_experts("model.layers.3", 8, 64, 32, 1)}
    yield Family("deepseek_v3", deepseek, [
        EPSILON, ("not_normalised", {"norm_topk_prob": False}), ("scaling", {"routed_scaling_factor": 1.0}),
        ("more_groups", {"topk_group": 3}), ("top_2", {"num_experts_per_tok": 2}),
        ("mscale", {"rope_scaling": {"mscale": 0.5}}), ("mscale_all_dim", {"rope_scaling": {"mscale_all_dim": 0.5}}),
        ("halves_rotated", {"rope_interleave": False})], extra=extra)
    kimi = deepseek | {"model_type": "kimi_k2", "n_group": 1, "topk_group": 1, "rope_theta": 50000.0,
                       "routed_scaling_factor": 2.827, "num_nextn_predict_layers": 0,
                       "rope_scaling": yarn(factor=8.0, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0)}
    yield Family("kimi_k2", kimi, [EPSILON, ("yarn_factor", {"rope_scaling": {"factor": 4.0}})],
                 load_as={"model_type": "deepseek_v3"})
    yield kimi_wrapped(kimi)
    sparse = deepseek | {"architectures": ["DeepseekV32ForCausalLM"], "model_type": "deepseek_v32",
                         "num_nextn_predict_layers": 0} | SPARSE_ATTENTION
    yield Family("deepseek_v32", sparse, [EPSILON, ("few_keys", {"index_topk": 16})])
    glm = latent("Glm4MoeLiteForCausalLM", "glm4_moe_lite", n_shared_experts=1, rope_theta=None,
                 rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, partial_rotary_factor=1.0,
                 **sigmoid(n_group=1, topk_group=1, routed_scaling_factor=1.8))
    del glm["rope_theta"]
    yield Family("glm4_moe_lite", glm, [EPSILON, ("scaling", {"routed_scaling_factor": 1.0}),
                                        ("not_normalised", {"norm_topk_prob": False})])
    dsa = glm | {"architectures": ["GlmMoeDsaForCausalLM"], "model_type": "glm_moe_dsa", "routed_scaling_factor": 2.5,
                 "indexer_types": ["full", "full", "shared"]} | SPARSE_ATTENTION
    yield Family("glm_moe_dsa", dsa, [EPSILON, ("few_keys", {"index_topk": 16})])


def kimi_wrapped(text):
    """Kimi K2.5 and K2.6: language_model.model. and a vision tower around Kimi K2."""
    inner = {key: value for key, value in text.items() if key != "architectures"}
    config = {"architectures": ["KimiK25ForConditionalGeneration"], "model_type": "kimi_k25", "text_config": inner,
              "vision_config": {"patch_size": 4, "pos_emb_height": 4, "pos_emb_width": 4, "pos_emb_time": 2,
                                "num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 32,
                                "intermediate_size": 32},
              "projection_hidden_size": 32, "image_token_id": 95, "video_token_id": 94, "vision_start_token_id": 93,
              "vision_end_token_id": 92, "tie_word_embeddings": False, "torch_dtype": "float32"}
    return Family("kimi_k25", config, [("top_2", {"text_config": {"num_experts_per_tok": 2}})],
                  layout=kimi_published, load_as={"architectures": ["Kimi_K25ForConditionalGeneration"]})


def kimi_published(shapes):
    """save_pretrained undoes the vision tower's layers -> blocks in the language model too."""
    return renamed(shapes, [(r"^language_model\.model\.blocks\.", "language_model.model.layers."),
                            (r"^model\.mm_projector\.", "mm_projector.")])
