"""Plant mistakes at random in the exported cells of the notebooks, one at a time, and see whether anything turns red.

A notebook under test runs its own definitions, so a mistake is planted in the notebook and exported from there."""
import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from course_dl.runner import page_name

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("nbs", "course_dl", "tests", "docs", "tools", "benchmarks")
OPERATORS = {ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
             ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"),
             ast.NotIn: ("not in", "in"), ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"),
             ast.Div: ("/", "*"), ast.FloorDiv: ("//", "/"), ast.Pow: ("**", "*"), ast.Mod: ("%", "*"),
             ast.And: ("and", "or"), ast.Or: ("or", "and")}
NAMES = {"min": "max", "max": "min", "mean": "sum", "sum": "mean", "argmin": "argmax", "argmax": "argmin", "any": "all",
         "all": "any", "amax": "amin", "amin": "amax", "zeros_like": "ones_like", "floor": "ceil",
         "ceil": "floor", "sqrt": "square", "exp": "exp2", "log": "log2", "sign": "abs", "randn_like": "rand_like",
         "eval": "train", "no_grad": "enable_grad", "zeros": "ones", "ones": "zeros"}
SWAPPED = {ast.Sub: "-", ast.Div: "/", ast.MatMult: "@"}
IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}


@dataclass
class Edit:
    "A mistake: the characters from `start` to `end` of a cell become `text`."
    start:int
    end:int
    text:str


class Mistakes(ast.NodeVisitor):
    "Every mistake this program knows for a piece of code."
    def __init__(self, source:str):
        self.source, self.found = source, []
        self.lines = [0]
        for line in source.splitlines(keepends=True): self.lines.append(self.lines[-1] + len(line))
        self.visit(ast.parse(source))

    def at(self, line:int, column:int)->int:
        "Position in the text; ast counts columns in bytes."
        text = self.source[self.lines[line-1]:self.lines[line]]
        return self.lines[line-1] + len(text.encode()[:column].decode())

    def span(self, node)->tuple:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node)->str: return ast.get_source_segment(self.source, node)

    def replace(self, node, text:str): self.found.append(Edit(*self.span(node), text))

    def between(self, left, op, right):
        "Another operator between two parts of an expression."
        old, new = OPERATORS.get(type(op), ("", ""))
        start, end = self.span(left)[1], self.span(right)[0]
        if old and old in self.source[start:end]:
            self.found.append(Edit(start, end, self.source[start:end].replace(old, new, 1)))

    def visit_Compare(self, node):
        lefts = [node.left, *node.comparators]
        for left, op, right in zip(lefts, node.ops, node.comparators, strict=False): self.between(left, op, right)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        self.between(node.left, node.op, node.right)
        left, right = self.text(node.left), self.text(node.right)
        if type(node.op) in SWAPPED:
            self.replace(node, f"(({right}) {SWAPPED[type(node.op)]} ({left}))")
        if isinstance(node.left, ast.Name) and type(node.op) in IN_PLACE:
            self.replace(node, f"{left}.{IN_PLACE[type(node.op)]}({right})")
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for left, right in zip(node.values, node.values[1:], strict=False): self.between(left, node.op, right)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        start = self.span(node)[0]
        if isinstance(node.op, ast.Not): self.found.append(Edit(start, start + len("not"), ""))
        if isinstance(node.op, ast.USub): self.found.append(Edit(start, start + len("-"), ""))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool): self.replace(node, str(not node.value))
        elif isinstance(node.value, int):
            for value in (node.value + 1, node.value - 1): self.replace(node, f"({value})" if value < 0 else str(value))
        elif isinstance(node.value, float): self.replace(node, repr(2*node.value or 1.))

    def visit_AugAssign(self, node):
        start, end = self.span(node.target)[1], self.span(node.value)[0]
        self.found.append(Edit(start, end, " = "))
        self.replace(node, "pass")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call): self.replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node):
        if isinstance(node.targets[0], ast.Attribute | ast.Subscript): self.replace(node, "pass")
        self.generic_visit(node)

    def visit_If(self, node):
        self.replace(node.test, "False" if isinstance(node.body[0], ast.Raise) else f"not ({ast.unparse(node.test)})")
        self.generic_visit(node)

    def visit_Return(self, node):
        "The other sign."
        if node.value and not isinstance(node.value, ast.Tuple):
            self.replace(node.value, f"-({self.text(node.value)})")
        self.generic_visit(node)

    def visit_Call(self, node):
        "A keyword less; the call of a method left out; a range that ends one sooner or later."
        for o in node.keywords:
            if o.arg: self.replace(o, "**{}")
        if isinstance(node.func, ast.Attribute): self.replace(node, self.text(node.func.value))
        if isinstance(node.func, ast.Name) and node.func.id == "range":
            end = self.span(node)[1]
            self.found += [Edit(end-1, end-1, step) for step in ("+1", "-1")]
        self.generic_visit(node)

    def visit_Attribute(self, node):
        end = self.span(node)[1]
        if node.attr == "T": self.replace(node, self.text(node.value))
        if node.attr in NAMES: self.found.append(Edit(end - len(node.attr), end, NAMES[node.attr]))
        self.generic_visit(node)

    def visit_JoinedStr(self, node): "Words of messages are left alone."

    def visit_FunctionDef(self, node):
        "Defaults and the body; annotations and decorators are left alone."
        for o in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]: self.visit(o)


def exported(notebook:Path)->list:
    "Pairs of a cell's index and a mistake that can be planted there."
    found = []
    for i, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and re.match(r"#\|\s*exporti?\b", source):
            found += [(i, edit) for edit in Mistakes(source).found]
    return found


def plant(notebook:Path, cell:int, edit:Edit)->str:
    "Write the mistake into the notebook; return it as a diff."
    nb = json.loads(notebook.read_text(encoding="utf-8"))
    before = "".join(nb["cells"][cell]["source"])
    after = before[:edit.start] + edit.text + before[edit.end:]
    nb["cells"][cell]["source"] = after.splitlines(keepends=True)
    notebook.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(o for o in lines if not o.startswith(("---", "+++", "@@")))


def suspects(folder:Path, notebook:Path)->list:
    "Commands that may notice a mistake in this notebook, the likely ones first, slow tests last."
    test = "from nbdev.test import nbdev_test; nbdev_test"
    def run(path): return ["-c", f"{test}({str(path)!r}, n_workers=0)", str(path)]
    name = page_name(notebook)
    used = re.compile(rf"course_dl(\.| import .*){name}\b|from \.+{name}\b")
    def users(where, pattern):
        return [o for o in sorted((folder/where).glob(pattern)) if used.search(o.read_text(encoding="utf-8"))]
    pages = [o for o in users("nbs", "*.ipynb") if o.name != notebook.name]
    tests, slow = ([["-m", "pytest", "-q", "-x", "-n0", "-m", mark, str(o)] for o in users("tests", "test_*.py")]
                   for mark in ("not slow", "slow"))
    return [run(folder/"nbs"/notebook.name), *map(run, users("nbs/checks", "*.ipynb")), *tests,
            *map(run, pages), *slow]


def python(folder:Path, *words:str, timeout:int=900)->bool:
    "Run Python in a copy of the project; does it end well? Where a file has no test to run, pytest ends with 5."
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen([sys.executable, *words], cwd=folder, env=env, start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try: return process.wait(timeout) in (0, 5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return False


def noticed_by(notebook:Path, cell:int, edit:Edit)->tuple:
    "The diff of a mistake, and the first notebook or test that it turns red; or an empty string."
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)/"project"
        folder.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        for o in COPIED: shutil.copytree(ROOT/o, folder/o, ignore=ignore)
        for o in ROOT.iterdir():
            if o.is_file(): shutil.copy(o, folder)
        diff = plant(folder/"nbs"/notebook.name, cell, edit)
        if not python(folder, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"): return diff, "export"
        for words in suspects(folder, notebook):
            if not python(folder, *words): return diff, Path(words[-1]).relative_to(folder).as_posix()
    return diff, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=60, help="how many mistakes to plant")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other mistakes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of nbs/ unless given")
    args = parser.parse_args()
    notebooks = args.notebooks or sorted((ROOT/"nbs").glob("*.ipynb"))
    mistakes = [(o, *place) for o in notebooks for place in exported(o)]
    chosen = random.Random(args.seed).sample(mistakes, min(args.n, len(mistakes)))
    print(f"{len(chosen)} of {len(mistakes)} mistakes, in {len(notebooks)} notebooks", flush=True)
    survivors = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for (notebook, cell, _), (diff, place) in zip(chosen, pool.map(lambda o: noticed_by(*o), chosen), strict=True):
            print(f"{'noticed' if place else 'SURVIVES':9}{notebook.name} cell {cell}  {place}", flush=True)
            if not place:
                survivors += 1
                print(diff, flush=True)
    print(f"{len(chosen)-survivors} of {len(chosen)} mistakes were noticed")


if __name__ == "__main__": main()
