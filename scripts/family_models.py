"""Tiny models of every family, as config.json of published checkpoints spells them: for record_family_logits.py.

hidden 64, two to four blocks, every kind of block and every setting that changes the result among them. A variant is a
merge patch of the config that leaves the tensors as they are; its logits must differ from the base's, but for names
that begin with "spelled": another spelling of the same model.
"""

import dataclasses
import os
import re
import typing

VOCABULARY = 96


@dataclasses.dataclass
class Family:
    name: str
    config: dict
    variants: list
    norm_center: float = 1.0         # 0 where a norm multiplies by 1 + w
    embedding_scale: float = 1.5
    experts_transposed: bool = False  # fused experts are stored [experts, inputs, outputs]
    rules: list = dataclasses.field(default_factory=list)   # of seeded_weights.RULES, tried first
    layout: typing.Callable = lambda shapes: shapes         # names and shapes of save_pretrained -> of the checkpoint
    extra: dict = dataclasses.field(default_factory=dict)   # tensors that the reference ignores (MTP)
    load_as: dict = dataclasses.field(default_factory=dict)  # fields that the reference needs otherwise

    def reference_class(self):
        return (self.config | self.load_as)["architectures"][0]

    def is_ignored(self, name):
        """MTP under any name: the reference may have fused its experts by the time it reports them."""
        return bool(self.extra) and name.startswith(os.path.commonprefix(list(self.extra)))

    def text_config(self):
        return self.config.get("text_config", self.config)

    def is_copied(self, name):
        """Tensors of a part that the text model does not use; a quantizer passes them through."""
        parts = r"vision_tower|visual|multi_modal_projector|embed_vision|mm_projector"
        return name in self.extra or re.search(parts, name)


def dense(architecture, model_type, **fields):
    return {"architectures": [architecture], "model_type": model_type, "vocab_size": VOCABULARY, "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"} | fields


EPSILON = ("rms_norm_eps", {"rms_norm_eps": 0.01})


def yarn(**fields):
    return {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1} | fields


def dense_families():
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    yield Family("llama", dense("LlamaForCausalLM", "llama", rope_scaling=None), [
        EPSILON, ("rope_theta", {"rope_theta": 500.0}),
        ("llama3", {"rope_scaling": llama3}),
        ("linear", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        ("dynamic", {"max_position_embeddings": 32, "rope_scaling": {"type": "dynamic", "factor": 4.0}}),
        ("yarn", {"rope_scaling": yarn()}),
        ("yarn_factor_given", {"rope_scaling": yarn(attention_factor=1.5)}),
        ("spelled_rope_parameters", {"rope_theta": None, "rope_scaling": None,
                                     "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})])
    yield Family("llama_bias_tied", dense("LlamaForCausalLM", "llama", attention_bias=True, mlp_bias=True, head_dim=32,
                                          tie_word_embeddings=True), [EPSILON])
    yield Family("mistral", dense("MistralForCausalLM", "mistral", head_dim=32, sliding_window=16), [
        ("wider_window", {"sliding_window": 24}), ("no_window", {"sliding_window": None})])
    yield Family("qwen2", dense("Qwen2ForCausalLM", "qwen2", use_sliding_window=True, sliding_window=16,
                                max_window_layers=1), [
        ("no_window", {"use_sliding_window": False}), ("all_window", {"max_window_layers": 0}),
        ("wider_window", {"sliding_window": 24}),
        ("yarn", {"rope_scaling": yarn(), "use_sliding_window": False})])
    yield Family("qwen3", dense("Qwen3ForCausalLM", "qwen3", head_dim=32, attention_bias=False, rope_theta=1000000.0,
                                max_window_layers=3, use_sliding_window=False, sliding_window=None), [
        EPSILON, ("yarn", {"rope_scaling": yarn()})])


def moe(architecture, model_type, **fields):
    return dense(architecture, model_type, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32) | fields


def moe_families():
    mixtral = dense("MixtralForCausalLM", "mixtral", num_local_experts=8, num_experts_per_tok=2, intermediate_size=32,
                    rope_theta=1000000.0, sliding_window=None, output_router_logits=False)
    yield Family("mixtral", mixtral, [EPSILON, ("top_1", {"num_experts_per_tok": 1}),
                                      ("top_3", {"num_experts_per_tok": 3}), ("window", {"sliding_window": 16})])
    yield Family("qwen2_moe", moe(
        "Qwen2MoeForCausalLM", "qwen2_moe", num_experts_per_tok=3, shared_expert_intermediate_size=64,
        norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[1], use_sliding_window=False, sliding_window=32,
        max_window_layers=3), [EPSILON, ("norm_topk_prob", {"norm_topk_prob": True}),
                               ("top_2", {"num_experts_per_tok": 2})])
    yield Family("qwen3_moe", moe(
        "Qwen3MoeForCausalLM", "qwen3_moe", head_dim=32, num_experts_per_tok=3, norm_topk_prob=True,
        decoder_sparse_step=2, num_hidden_layers=4, mlp_only_layers=[], rope_theta=1000000.0, use_sliding_window=False,
        sliding_window=None, max_window_layers=4, attention_bias=False), [
            EPSILON, ("not_normalised", {"norm_topk_prob": False}), ("top_2", {"num_experts_per_tok": 2}),
            ("window", {"use_sliding_window": True, "sliding_window": 16})])
    yield Family("glm4_moe", dense(
        "Glm4MoeForCausalLM", "glm4_moe", head_dim=32, partial_rotary_factor=0.5, attention_bias=True, use_qk_norm=True,
        n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, moe_intermediate_size=32, n_group=4, topk_group=2,
        norm_topk_prob=True, routed_scaling_factor=2.5, first_k_dense_replace=1, num_nextn_predict_layers=1), [
            EPSILON, ("not_normalised", {"norm_topk_prob": False}), ("scaling", {"routed_scaling_factor": 1.0}),
            ("more_groups", {"topk_group": 3}), ("one_group", {"n_group": 1, "topk_group": 1}),
            ("top_2", {"num_experts_per_tok": 2}), ("partial_rotary", {"partial_rotary_factor": 0.25})],
        extra=next_token_layer("model.layers.3", 64) | {
            f"model.layers.3.self_attn.{name}": shape for name, shape in {
                "q_proj.weight": [128, 64], "q_proj.bias": [128], "k_proj.weight": [64, 64], "k_proj.bias": [64],
                "v_proj.weight": [64, 64], "v_proj.bias": [64], "o_proj.weight": [64, 128],
                "q_norm.weight": [32], "k_norm.weight": [32]}.items()} | sigmoid_experts("model.layers.3", 8, 64, 32, 1))


def next_token_layer(prefix, hidden):
    """What GLM and DeepSeek store of their layer after the last, but for attention and experts."""
    shapes = {"enorm.weight": [hidden], "hnorm.weight": [hidden], "eh_proj.weight": [hidden, 2 * hidden],
              "embed_tokens.weight": [VOCABULARY, hidden], "shared_head.norm.weight": [hidden],
              "shared_head.head.weight": [VOCABULARY, hidden], "input_layernorm.weight": [hidden],
              "post_attention_layernorm.weight": [hidden]}
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def gated_mlp(prefix, hidden, inner):
    return {f"{prefix}.gate_proj.weight": [inner, hidden], f"{prefix}.up_proj.weight": [inner, hidden],
            f"{prefix}.down_proj.weight": [hidden, inner]}


def sigmoid_experts(prefix, experts, hidden, inner, shared):
    shapes = {f"{prefix}.mlp.gate.weight": [experts, hidden], f"{prefix}.mlp.gate.e_score_correction_bias": [experts]}
    for expert in range(experts):
        shapes |= gated_mlp(f"{prefix}.mlp.experts.{expert}", hidden, inner)
    return shapes | gated_mlp(f"{prefix}.mlp.shared_experts", hidden, inner * shared)


def gemma_families():
    gemma3 = dense("Gemma3ForCausalLM", "gemma3_text", head_dim=32, num_hidden_layers=4, sliding_window=16,
                   sliding_window_pattern=2, rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=None,
                   query_pre_attn_scalar=24, hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6,
                   attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=False,
                   tie_word_embeddings=True)
    del gemma3["hidden_act"]
    variants = [EPSILON, ("window", {"sliding_window": 24}), ("query_scale", {"query_pre_attn_scalar": 32}),
                ("soft_cap", {"final_logit_softcapping": 8.0}), ("local_base", {"rope_local_base_freq": 500.0}),
                ("global_base", {"rope_theta": 500.0}), ("pattern", {"sliding_window_pattern": 3}),
                ("spelled_layer_types", {"layer_types": ["sliding_attention", "full_attention"] * 2})]
    style = {"norm_center": 0.0, "embedding_scale": 0.2}
    yield Family("gemma3_text", gemma3, variants, **style)
    text = gemma3 | {"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 4.0}}
    del text["architectures"]
    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
              "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    wrapped = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
               "vision_config": vision, "mm_tokens_per_image": 4, "boi_token_index": 93, "eoi_token_index": 94,
               "image_token_index": 95, "torch_dtype": "float32"}
    yield Family("gemma3_wrapped", wrapped, [("rope_scaling", {"text_config": {"rope_scaling": {"factor": 8.0}}})],
                 layout=gemma3_published, **style)
    yield from gemma4_families()


def gemma3_published(shapes):
    """As google/gemma-3-4b-it has them: language_model.model. and vision_tower.vision_model. at the root."""
    names = [(r"^model\.language_model\.", "language_model.model."), (r"^model\.(vision_tower|multi_modal)", r"\1"),
             (r"^vision_tower\.", "vision_tower.vision_model.")]
    return renamed(shapes, names)


def renamed(shapes, names):
    for pattern, replacement in names:
        shapes = {re.sub(pattern, replacement, name): shape for name, shape in shapes.items()}
    return shapes


def gemma4_families():
    both = ["sliding_attention", "full_attention"]
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000000.0}}
    text = dense("Gemma4ForCausalLM", "gemma4_text", head_dim=32, global_head_dim=64, num_global_key_value_heads=1,
                 attention_k_eq_v=True, num_hidden_layers=4, layer_types=both * 2, sliding_window=16,
                 rope_parameters=rope, hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6,
                 final_logit_softcapping=30.0, hidden_size_per_layer_input=0, num_kv_shared_layers=0,
                 enable_moe_block=False, use_double_wide_mlp=False, vocab_size_per_layer_input=VOCABULARY,
                 attention_bias=False, tie_word_embeddings=True)
    for field in ("hidden_act", "rope_theta"):
        del text[field]
    style = {"embedding_scale": 0.2, "rules": [(r"[qk]_norm\.weight$", 0.5, 0.125, None)]}
    full_rope = {"rope_parameters": {"full_attention": {"partial_rotary_factor": 0.5}}}
    yield Family("gemma4_dense", text, [
        EPSILON, ("soft_cap", {"final_logit_softcapping": 8.0}), ("no_soft_cap", {"final_logit_softcapping": None}),
        ("window", {"sliding_window": 24}), ("proportion", full_rope)], **style)
    experts = text | {"enable_moe_block": True, "num_experts": 8, "top_k_experts": 3, "moe_intermediate_size": 32}
    yield Family("gemma4_moe", experts, [EPSILON, ("top_2", {"top_k_experts": 2})], **style)
    layered = text | {"hidden_size_per_layer_input": 32, "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
                      "attention_k_eq_v": False, "num_global_key_value_heads": None}
    yield Family("gemma4_per_layer", layered, [EPSILON], **style)
    inner = {key: value for key, value in experts.items() if key != "architectures"}
    wrapped = {"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4", "text_config": inner,
               "vision_config": {"model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 32,
                                 "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
                                 "head_dim": 16, "patch_size": 4, "position_embedding_size": 16},
               "audio_config": None, "image_token_id": 95, "video_token_id": 94, "audio_token_id": 93,
               "boi_token_id": 92, "eoi_token_id": 91, "boa_token_id": 90, "eoa_token_index": 89,
               "tie_word_embeddings": True, "torch_dtype": "float32"}
    yield Family("gemma4_wrapped", wrapped, [("top_2", {"text_config": {"top_k_experts": 2}})], **style)


def all_families():
    import family_models_linear
    import family_models_latent
    makers = [dense_families, moe_families, gemma_families, family_models_linear.families, family_models_latent.families]
    return {family.name: family for maker in makers for family in maker()}
