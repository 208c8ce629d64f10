#!/usr/bin/env bash
# Every family, weight type and kind of head goes through the whole job, and its output evaluates near it.
source "$(dirname "$0")/common.sh"

case_number=0
try() {
  local name=case-$((++case_number))
  "$make_model" "$name" --hidden 128 --heads 4 --kv-heads 2 --ffn 256 --layers 2 --vocab 320 \
    --tokens-file tokens.i32 --tokens 4000 "$@"
  job "$name.yaml" "$name" tokens.i32 16 64 8 6.0
  ranks 2 "$program" run "$name.yaml" -s output.dir="$work/$name-out" -s work.dir="$work/$name-work" \
    2>log.txt || { cat log.txt; die "run: $*"; }
  "$program" verify "$name-out" --against "$name" >verify.txt || { cat verify.txt; die "verify: $*"; }
  local before after
  before=$("$program" eval "$name" --tokens tokens.i32 --rows 32 --length 64 --json | perplexity)
  after=$("$program" eval "$name-out" --tokens tokens.i32 --rows 32 --length 64 --json | perplexity)
  say "$*: perplexity $before -> $after at 6.0 bits"
  is "$after" '<' "$(awk -v p="$before" 'BEGIN {print p * 1.1}')" || die "perplexity rose too far: $*"
}

try --family llama --dtype F32 --head tied
try --family llama --biases --head head-only --rope-scaling llama3
try --family mistral --dtype BF16 --sliding-window 32
try --family qwen2 --dtype BF16 --shards 3
try --family qwen3 --head-dim 48

sed -i 's/LlamaForCausalLM/GemmaForCausalLM/' case-1/config.json
expect_exit 65 "$program" run case-1.yaml -s output.dir="$work/x" -s work.dir="$work/x-work"
grep -q GemmaForCausalLM stderr.txt || die "the architecture is not named"
