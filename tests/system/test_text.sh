#!/usr/bin/env bash
# From text to an EXL2 folder: a run from text is the run from its token file, for any number of ranks; the text's
# perplexity per story is the checked one; hostile tokenizers end in time with 65.
source "$(dirname "$0")/common.sh"

model=$shared/models/stories260K-pad192-sharded
tokens=$shared/data/tokens/tinystories_tok512.i32
text=$shared/data/text/tiny.utf8
[[ -d $model && -f $tokens && -f $text ]] || skip "shared data absent: $model"

"$program" tokenize "$model" "$text" --out stories.i32 >summary.txt
cmp stories.i32 "$tokens" || die "ids differ from the checked ones"
grep -q '^317 documents, 256717 bytes, 130220 tokens' summary.txt || die "$(cat summary.txt)"
code=0
"$program" tokenize "$model" "$text" --out stories.i32 2>/dev/null || code=$?
[[ $code == 73 ]] || die "an existing file is not refused: $code"
"$program" tokenize "$model" "$text" --out stories.i32 --force >/dev/null

for n in 1 2 3; do
  got=$(ranks "$n" "$program" eval "$model" --text "$text" --json | perplexity)
  [[ $got == "${first:=$got}" ]] || die "perplexity per story is $got on $n ranks, $first on one"
done
say "perplexity per story: $first (checked value 4.54144)"
awk -v a="$first" 'BEGIN { d = a - 4.54144; exit !(d < 1e-4 && d > -1e-4) }' || die "perplexity per story"

job tokens.yaml "$model" "$tokens" 64 256 8 4.0
"$program" run tokens.yaml 2>log.txt || { cat log.txt; die "run from tokens"; }
# The plan names its token file; the weights must be the same.
weights() { cat out/*.safetensors | sha256sum; }
want=$(weights)
sed 's/tokens: [^,]*,/text: TEXT, validation_rows: 32,/' tokens.yaml | sed "s|TEXT|$text|" >text.yaml
for n in 1 3; do
  rm -rf out work
  ranks "$n" "$program" run text.yaml 2>log.txt || { cat log.txt; die "run from text"; }
  [[ $(weights) == "$want" ]] || die "the run from text on $n ranks differs from that from tokens"
  cmp -n $((64 * 256 * 4)) work/calibration_rows.i32 "$tokens" || die "calibration rows"
  cmp work/validation_rows.i32 <(tail -c +$((64 * 256 * 4 + 1)) "$tokens" | head -c $((32 * 256 * 4))) ||
    die "validation rows are not the next ones"
done
# Divergence from the plain model on rows that were kept apart.
unset first
for n in 1 2 3; do
  got=$(ranks "$n" "$program" eval out --against "$model" --tokens work/validation_rows.i32 --length 256 --json)
  [[ $got == "${first:=$got}" ]] || die "on $n ranks $got, on one $first"
done
say "$first"
"$program" eval "$model" --against "$model" --tokens work/validation_rows.i32 --length 256 --json |
  grep -q '"kl_mean": 0, "kl_99": 0, "top1_agreement": 1.00000000' || die "a model differs from itself"

# Again from what is there, then with other text: refused, and nothing lost.
"$program" run text.yaml -s output.dir=again 2>/dev/null || die "run again"
code=0
"$program" run text.yaml -s calibration.bos=none -s output.dir=other 2>err.txt || code=$?
[[ $code == 65 ]] && grep -q 'use a new work.dir' err.txt || die "other rows in an old work folder: $code $(cat err.txt)"

cat >evil.json <<'JSON'
{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
 "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}}
JSON
{ head -c 100000 /dev/zero | tr '\0' a; printf '!'; } >evil.txt
code=0
TIMEFORMAT=%U
# Processor time: other programs may be running.
{ time { "$program" tokenize evil.json evil.txt --no-bos 2>err.txt || code=$?; }; } 2>took.txt
took=$(cat took.txt)
say "a catastrophic regex ends after $took s: $(cat err.txt)"
[[ $code == 65 ]] || die "catastrophic regex: exit $code"
is "$took" '<' 2 || die "catastrophic regex took $took s"
