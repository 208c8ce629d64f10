#!/usr/bin/env bash
# A second run reuses what the work folder holds; what is missing or damaged is done again; the bytes stay.
source "$(dirname "$0")/common.sh"

"$make_model" model --hidden 128 --heads 4 --kv-heads 4 --ffn 128 --layers 2 --vocab 256 \
  --tokens-file tokens.i32 --tokens 2000
job job.yaml model tokens.i32 16 64 4 4.5
run() { ranks "${1:-0}" "$program" run job.yaml "${@:2}" 2>log.txt || { cat log.txt; die "run"; }; }

run 0
first=$(sum_of out)
before=$(find out -printf '%f %T@\n' | sort)
run 2
[[ $(find out -printf '%f %T@\n' | sort) == "$before" ]] || die "a finished output was written again"
grep -q 'output complete by an earlier run' log.txt || die "the reuse was not said"

measured() { grep -c '"event":"layer_measured"' work/events.jsonl; }
[[ $(measured) == 14 ]] || die "14 layers, measured $(measured)"

rm -r out work/measurements/model.layers.1.self_attn.o_proj.h5
run 3
[[ $(measured) == 15 ]] || die "one layer was to be measured again, measured $(measured)"
[[ $(sum_of out) == "$first" ]] || die "other bytes after measuring a layer again"

printf 'x' | dd of=work/hessians/model.layers.0.down_in.h5 bs=1 seek=3000 conv=notrunc status=none
rm -r out
run 1
[[ $(sum_of out) == "$first" ]] || die "other bytes after a damaged Hessian"
ls work/hessians/*.bad >/dev/null || die "the damaged file is gone"

run 0 -s allocate.bpw=6 -s output.dir="$work/out6"
[[ $(measured) == 15 ]] || die "another budget measured again"
"$program" verify out6 >/dev/null

# Another calibration under the same work folder is refused, by name.
expect_exit 65 "$program" run job.yaml -s calibration.rows=12 -s output.dir="$work/other"
grep -q 'calibration.rows' stderr.txt || die "the field is not named: $(cat stderr.txt)"
# An output folder that holds another model is not touched.
expect_exit 73 "$program" run job.yaml -s allocate.bpw=5
[[ $(sum_of out) == "$first" ]] || die "a foreign output was touched"
