"""Measure how fast the course is, and write the results into README.md beside this file: `make bench`.

`--quick` takes fewer images and rounds, and prints instead."""
import argparse
import os
import re
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin

import growth
import moves
import rows
from runner import machine, markdown, measure, table, times

HERE = Path(__file__).parent


def report(
    quick:bool=False, # fewer images and rounds, no picture?
)->str: # Markdown
    "Measure everything."
    rounds = 3 if quick else 5
    measured = [] if quick else list(rows.second_calls(rounds))
    for row in rows.speed_rows(6_000 if quick else 20_000):
        measured.append(measure(row, rounds))
        print(table([row]).splitlines()[-1], times([row]).splitlines()[-1], sep="\n", flush=True)
    measured += moves.move_rows(rounds)
    images = [2_000*2**i for i in range(5)] if quick else [7_500*2**i for i in range(5)]
    sizes = growth.growth(images, 1 if quick else rounds)
    one, two = growth.processes(1 if quick else rounds)
    grown = "; ".join(f"{n:,} images {seconds:.2f} s, {megabytes:,.0f} MB" for n, seconds, megabytes in sizes)
    text = [f"Measured on {machine()}. Each time is the median of {rounds} rounds, in which all ways of a row take "
            "turns; a ratio is the median of the rounds' ratios.",
            table(measured), "The times behind the ratios:", times(measured),
            f"Growth of an epoch of `FashionCNN`: {grown}.",
            f"The deep net on 3s and 7s under accelerate, on the CPU: an epoch takes one process {one:.2f} s, and two "
            f"that share the same work {two:.2f} s, {two/one:.2f} times as long. "
            "[Is it faster?](../nbs/17_distributed.ipynb#is-it-faster) says what decides."]
    if hasattr(os, "posix_fadvise"):
        n = 60_000 if quick else 480_000
        lines = [[way, f"{read:.2f}", f"{load:.2f}", f"{epoch:.1f}", f"{megabytes:.0f}"]
                 for way, read, load, epoch, megabytes in growth.from_disk(n, 1 if quick else 3)]
        heads = "images", "reading the file, s", "its loader alone, s", "an epoch of `FashionCNN`, s", "memory, MB"
        text.append(f"A file of {n:,} images, {n*784/1e6:.0f} MB, which the system forgets before each of these:\n\n" +
                    markdown(heads, lines))
    if not quick: growth.draw(sizes, HERE.parent/"nbs"/"images"/"growth.png")
    return "\n\n".join(text)


def write(
    path:Path, # Markdown file with the two marks between which the results stand
    text:str,  # results
)->None:
    "Put results into a page, in place of older ones."
    marks = "<!-- results -->", "<!-- end of results -->"
    page = path.read_text(encoding="utf-8")
    new = re.sub(f"(?<={marks[0]}).*?(?={marks[1]})", lambda _: f"\n\n{text}\n\n", page, flags=re.S)
    path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    found = report(quick)
    print(found)
    if not quick: write(HERE/"README.md", found)
