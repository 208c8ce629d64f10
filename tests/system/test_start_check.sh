#!/usr/bin/env bash
# Before any work: ranks that are not one program called in one way, and jobs that need more memory or disk than there
# is, are refused with 69, once, and nothing is created; a sound job is told in one block.
source "$(dirname "$0")/common.sh"

"$make_model" model --hidden 256 --heads 4 --kv-heads 4 --ffn 512 --layers 2 --vocab 512 \
  --tokens-file tokens.i32 --tokens 512
job job.yaml model tokens.i32 8 64 2 4.0

launch=(mpirun --allow-run-as-root --oversubscribe)

# refused WORD...: what the last command said, and that it left nothing.
refused() {
  for word in "$@"; do
    grep -q -- "$word" stderr.txt || die "'$word' not in: $(cat stderr.txt)"
  done
  [[ $(grep -c '^shardquant: error:' stderr.txt) == 1 ]] || die "said more than once: $(cat stderr.txt)"
  [[ ! -e work && ! -e out ]] || die "a refused job left a folder"
}

# Two programs as one job: another command line on rank 1, then another build.
expect_exit 69 "${launch[@]}" -n 1 "$program" run job.yaml : -n 1 "$program" run job.yaml -s allocate.bpw=3
refused 'rank 1 was started as "run job.yaml -s allocate.bpw=3' 'give all ranks one command line'
python3 - "$program" other <<'PYTHON'
import os, sys
data = bytearray(open(sys.argv[1], "rb").read())
note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
data[data.index(note) + len(note)] ^= 1
open(sys.argv[2], "wb").write(data)
os.chmod(sys.argv[2], 0o755)
PYTHON
expect_exit 69 "${launch[@]}" -n 2 "$program" run job.yaml : -n 1 ./other run job.yaml
refused 'rank 2 runs build' 'one file that all nodes see'

# Hidden states of more rows than any machine has memory and disk for; a file that is all hole.
truncate -s $((1000000 * 10000 * 4)) many.i32
expect_exit 69 ranks 2 "$program" run job.yaml -s calibration.tokens=many.i32 \
  -s calibration.rows=1000000 -s calibration.length=10000
refused 'memory of .*: 2 rank(s) need 9\.3[0-9] TiB at most' '--mem=0' \
  'disk: .* for work\.dir' 'quantize\.hessians: recompute' '--start-anyway'

ranks 3 "$program" run job.yaml 2>stderr.txt
for word in 'launch   3 rank(s) on 1 host' 'devices  .* rank(s)' 'memory  ' 'disk  '; do
  [[ $(grep -c "check      $word" stderr.txt) == 1 ]] || die "not one line of '$word': $(cat stderr.txt)"
done
# What was said of the output folder, in three digits, against its weights.
said=$(sed -n 's/.* \([0-9.]*\) \([KM]iB\) for output\.dir.*/\1\2/p' stderr.txt)
planned=$(numfmt --from=iec-i --suffix=B "$said" | tr -d B)
weights=$(cat out/*.safetensors | wc -c)
say "planned $planned bytes of output, $weights written"
((planned * 100 >= weights * 99 && planned * 10 <= weights * 11)) ||
  die "planned $planned bytes of output, $weights written"
