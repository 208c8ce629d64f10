#!/usr/bin/env python3
"""Cuts texts into rows of tokens: raw int32, little endian, no header, for `calibration.tokens` and `eval --tokens`.

    token_rows.py MODEL_DIR OUT.i32 --length 512 TEXT:FIRST:STEP:ROWS...

A text is tokenized as a whole with MODEL_DIR/tokenizer.json (PyPI: tokenizers, numpy) and cut into rows that follow each
other; rows FIRST, FIRST + STEP, ... are taken, ROWS of them. The rows of the texts alternate for as long as each has any
left, so that every beginning of the file is an even mix. Other FIRSTs under the same STEP give rows that share nothing.
"""

import argparse
import itertools
import pathlib

import numpy as np
from tokenizers import Tokenizer


def rows_of_text(tokenizer, spec, length):
    path, first, step, count = spec.rsplit(":", 3)
    first, step, count = int(first), int(step), int(count)
    ids = tokenizer.encode(pathlib.Path(path).read_text(encoding="utf-8"), add_special_tokens=False).ids
    present = len(ids) // length
    wanted = range(first, first + step * count, step)
    if wanted[-1] >= present:
        raise SystemExit(f"{path}: has {present} rows of {length} tokens, row {wanted[-1]} is asked for")
    return [ids[row * length:(row + 1) * length] for row in wanted]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out")
    parser.add_argument("texts", nargs="+", metavar="TEXT:FIRST:STEP:ROWS")
    parser.add_argument("--length", type=int, default=512)
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    texts = [rows_of_text(tokenizer, spec, options.length) for spec in options.texts]
    turns = itertools.zip_longest(*texts)
    rows = [row for turn in turns for row in turn if row is not None]
    np.array(rows, dtype="<i4").tofile(options.out)
    print(f"{options.out}: {len(rows)} rows of {options.length} tokens")


if __name__ == "__main__":
    main()
