#!/usr/bin/env bash
# Wrong input ends in the exit code of its kind, with one message that names what is wrong, on any rank count.
source "$(dirname "$0")/common.sh"

"$make_model" model --hidden 64 --heads 4 --kv-heads 2 --ffn 96 --layers 1 --vocab 128 \
  --tokens-file tokens.i32 --tokens 500
job job.yaml model tokens.i32 4 64 2 4.0

# refuses CODE WORD COMMAND...: alone and on two ranks.
refuses() {
  local code=$1 word=$2
  shift 2
  for n in 0 2; do
    expect_exit "$code" ranks $n "$@"
    grep -q -- "$word" stderr.txt || die "'$word' not in: $(cat stderr.txt)"
    [[ $(grep -c '^shardquant: error:' stderr.txt) == 1 ]] || die "said more than once: $(cat stderr.txt)"
  done
}

refuses 66 nowhere.yaml "$program" run nowhere.yaml
refuses 78 'allocate.bqw' "$program" run job.yaml -s allocate.bqw=3
refuses 66 missing "$program" run job.yaml -s model.path="$work/missing"
refuses 65 'rows' "$program" run job.yaml -s calibration.rows=400
refuses 78 'bits' "$program" run job.yaml -s allocate.bpw=1.5
refuses 69 'cuda' env SHARDQUANT_CUDA_MODULE=/nowhere.so "$program" run job.yaml -s device.kind=cuda
refuses 66 nothing "$program" eval nothing --tokens tokens.i32 --length 64
expect_exit 64 "$program" run
expect_exit 64 "$program" frobnicate
expect_exit 0 "$program" --help
expect_exit 0 "$program" --version

truncate -s 1000 model/model.safetensors
refuses 65 model.safetensors "$program" run job.yaml -s work.dir="$work/other"
[[ ! -e out ]] || die "a refused job left an output folder"
