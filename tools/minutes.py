"""Write into each lesson its number and how many minutes it takes to read and to run; into the first page all of them.

The rule: 200 words or 15 lines of open code a minute, 6 pictures a minute, rounded to 5. With `--run`, each lesson
(or each of those named after it) is run as well, and the seconds it computes are kept in `nbs/running.json`."""
import json
import math
import re
import sys
from pathlib import Path

import nbformat

from course_dl.core import _write_whole
from course_dl.runner import page_name, run_lesson, split_directives
from renumber import ROOT, lessons

RUNNING = ROOT/"nbs/running.json"
NEEDS = re.compile(r"^\*\*Before you start.*$", re.M)
READ = re.compile(r" *(?:Lesson \d+: (?:read )?)?\d+ minutes[^.]*\.$", re.M)
ROW = re.compile(r"^\| \d+\. \[(.+?)\]\((\d+_\w+\.ipynb)\) \| (.+?) \| \d+ min \|$", re.M)


def minutes(nb) -> int:
    "Minutes to read a lesson as it stands: text, code that is not folded, pictures."
    text = "".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    words = len(re.sub(r"<details>.*?</details>", "", text, flags=re.S).split())
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    shown = [split_directives(cell.source) for cell in code if not cell.metadata.get("tags")]
    lines = sum(bool(line.strip()) for said, source in shown if "hide" not in said for line in source.splitlines())
    pictures = sum(any(kind.startswith("image/") for kind in output.get("data", {}))
                   for cell in code for output in cell.get("outputs", []))
    return max(5, 5*round((words/200 + lines/15 + pictures/6)/5))


def with_minutes(nb, page:str, number:int) -> str:
    "The line of a lesson that says what it needs, with its number and the minutes at its end."
    needs = next((found[0] for cell in nb.cells[:3] if (found := NEEDS.search(cell.source))), None)
    if needs is None: sys.exit(f"{page}: one of the first three cells needs a line with **Before you start:**")
    seconds = json.loads(RUNNING.read_text(encoding="utf-8"))
    if page not in seconds: sys.exit(f"{page}: `tools/minutes.py --run` and its file's name measure how long it runs")
    to_run, slow = (math.ceil(o/60) for o in seconds[page])
    with_slow = f", with slow cells {slow}" if slow > to_run else ""
    return f"{READ.sub('', needs).rstrip()} Lesson {number}: read {minutes(nb)} minutes, run {to_run}{with_slow}."


def contents(table:str, read:dict) -> str:
    "The first page's table of lessons: numbers as in the sidebar, and minutes."
    order = list(read)
    def line(row): return f"| {order.index(row[2])+1}. [{row[1]}]({row[2]}) | {row[3]} | {read[row[2]]} min |"
    return ROW.sub(line, table)


def measure_runs(names:list) -> dict:
    "CPU seconds of each lesson without and with slow cells, on one thread: a neighbor disturbs them least."
    import resource
    def used(): return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    seconds, before = {}, used()
    for name in names:
        took = seconds[page_name(Path(name))] = []
        for slow in (False, True):
            done = run_lesson(ROOT/"nbs"/name, slow, threads=1)
            if done["error"]: sys.exit(done["error"])
            took.append(round(used() - before))
            before = used()
        print(f"{done['name']:18}{took[0]:5} s, with slow cells {took[1]} s", flush=True)
    return seconds


def main():
    names, read = lessons(ROOT/"_quarto.yml"), {}
    if sys.argv[1:2] == ["--run"]:
        took = measure_runs([f"{name}.ipynb" for name in sys.argv[2:]] or names)
        seconds = json.loads(RUNNING.read_text(encoding="utf-8")) | took
        _write_whole(RUNNING, f"{json.dumps(seconds, indent=1)}\n".encode())
    for number, name in enumerate(names, start=1):
        path = ROOT/"nbs"/name
        nb = nbformat.read(path, as_version=4)
        read[name], line = minutes(nb), with_minutes(nb, page_name(path), number)
        for cell in nb.cells[:3]: cell.source = NEEDS.sub(lambda _, line=line: line, cell.source)
        write(path, nb)
    index = nbformat.read(ROOT/"nbs/index.ipynb", as_version=4)
    for cell in index.cells: cell.source = contents(cell.source, read) if cell.cell_type == "markdown" else cell.source
    write(ROOT/"nbs/index.ipynb", index)


def write(path:Path, nb):
    text = f"{nbformat.writes(nb)}\n"
    if text != path.read_text(encoding="utf-8"): path.write_text(text, encoding="utf-8")


if __name__ == "__main__": main()
