#!/usr/bin/env python3
"""Makes choice_problems.json: multiple-choice knapsacks with their optimum.

All numbers are integers. The optimum comes from complete enumeration of the Pareto front of
(bits, loss), group after group, without any bound: slow, but with nothing in common with the solver.
"""

import json
import random
import sys


def optimum(groups, budget):
    front = [(0, 0)]
    for group in groups:
        sums = sorted((b + cb, l + cl) for b, l in front for cb, cl in group if b + cb <= budget)
        front = []
        for bits, loss in sums:
            if not front or loss < front[-1][1]:
                front.append((bits, loss))
    return min(loss for _, loss in front) if front else None


def middle_budget(groups, share):
    least = sum(min(b for b, _ in g) for g in groups)
    most = sum(max(b for b, _ in g) for g in groups)
    return least + int((most - least) * share)


def tradeoff(rng, groups, options):
    result = []
    for _ in range(groups):
        scale = rng.choice([16, 64, 64, 224])
        base = rng.randint(2000, 20000)
        result.append([(scale * bits, int(base * 2 ** (-bits / 8 + rng.gauss(0, 0.3))))
                       for bits in sorted(rng.sample(range(16, 65), options))])
    return result


def unrelated(rng, groups, options):
    return [[(rng.randint(1, 300), rng.randint(1, 300)) for _ in range(options)]
            for _ in range(groups)]


def on_a_line(rng, groups, options):
    """Loss falls by exactly one per bit: every selection that fills the budget is optimal."""
    result = []
    for _ in range(groups):
        bits = [rng.randint(1, 400) for _ in range(options)]
        result.append([(b, 500 - b) for b in bits])
    return result


def near_a_line(rng, groups, options):
    """Weakly correlated: the relaxation hardly tells the choices apart."""
    result = []
    for _ in range(groups):
        bits = [rng.randint(1, 400) for _ in range(options)]
        result.append([(b, 500 - b + rng.randint(-5, 5)) for b in bits])
    return result


def subset_sum(rng, groups, _options):
    """Take it or leave it, even bits and an odd budget: the best selection leaves one bit."""
    return [[(0, 1000), (b, 1000 - b)] for b in (2 * rng.randint(20, 200) for _ in range(groups))]


def copies(rng, groups, options):
    distinct = tradeoff(rng, 4, options)
    return [list(distinct[i % 4]) for i in range(groups)]


def main():
    rng = random.Random(560)
    problems = []
    for name, make, groups, options, share in [
            ("tradeoff", tradeoff, 30, 12, 0.2), ("tradeoff, tight", tradeoff, 30, 12, 0.02),
            ("tradeoff, loose", tradeoff, 30, 12, 0.9), ("unrelated", unrelated, 40, 10, 0.15),
            ("unrelated, tight", unrelated, 40, 10, 0.01), ("on a line", on_a_line, 30, 8, 0.5),
            ("near a line", near_a_line, 30, 8, 0.5),
            ("near a line, tight", near_a_line, 30, 8, 0.03),
            ("subset sum", subset_sum, 40, 2, 0.5), ("copies", copies, 40, 8, 0.3),
            ("copies, tight", copies, 40, 8, 0.05)]:
        instance = make(rng, groups, options)
        budget = middle_budget(instance, share)
        if make is subset_sum:
            budget |= 1
        problems.append({"name": name, "budget_bits": budget, "groups": instance,
                         "optimum": optimum(instance, budget)})
    lines = ",\n".join(json.dumps(p, separators=(",", ":")) for p in problems)
    sys.stdout.write("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main()
