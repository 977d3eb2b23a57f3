"""Turn right answers of the exercises into wrong ones, and see whether the checks refuse them and say why.

The right answers are the folded solutions of the lessons, where these are functions or classes, and those of variants.
A mutant is one with a small edit. The score stands on the page of the exercises; this tool writes it there."""
import ast
import re
from collections import Counter
from contextlib import suppress
from functools import cache
from importlib import import_module

import nbformat

from course_dl.exercises import _TimeUp
from course_dl.runner import page_name
from course_dl.student import known_exercises, lesson_exercises, solution_code, surroundings, with_variants
from mutants import Mistakes
from renumber import ROOT, lessons

LESSONS = [ROOT/"nbs"/name for name in lessons(ROOT/"_quarto.yml")]
PAGE = ROOT/"nbs/23_exercises.ipynb"
SIGN, FREE = "the sign goes away again", "the task leaves it free"
EQUIVALENT = { # mutants that are right: for each exercise a part of the changed line, and why
    "l1_distance": {"(b) - (a)": SIGN},
    "byte_distance": {"(b.float()) - (a.float())": SIGN, "(a-b.float())": "a byte and a float make a float",
                      "(a.float()-b)": "a byte and a float make a float"},
    "descent": {"x = x.clone().requires_grad_()": "the input has no graph", "return x": FREE},
    "accuracy": {">= 0": "no logit is exactly 0"},
    "hidden_net": {"init_params(n_hidden, n_in**-1.0)": FREE, "init_params(1, n_hidden**-1.0)": FREE},
    "levels": {"surface.min(), ": "NumPy takes it too", "surface.max(), n": "NumPy takes it too"},
    "best_rate": {"ones_like(x)], 0)": "the sum of eigenvalues is the trace", "(A) @ (2*A.T)": "the same trace"},
    "foretell": {"((start-best) @": "a Hessian is symmetric"},
    "fresh_noise": {"y - self.std": "noise is symmetric"},
    "fair_weights": {"2/y.bincount": "weights count in proportion"},
    "buffered": {"pass": FREE, "random": FREE},
    "softmax": {"shifted.div_": "a table of its own"},
    "rosenblatt": {"(p) @ (w)": "the same product"},
    "order": {"{end: 1}": "nobody asks for this count", "{end: (-1)}": "nobody asks for this count"},
    "recall": {"bincount(truth, **{})": "every class has an image"},
    "fit_best": {"best = -2": "below any accuracy"},
    "drop_channels": {"kept = torch.rand(": "True is 1", "1, 1) > p)": "chance 0"},
    "calibration_error": {"(right[inside].mean()) - ": SIGN},
    "valid_recorder": {"append(learn.loss)": FREE},
    "triangle": {"(1) - (2*pos)": SIGN},
    "batches": {"[:, rank]": "a table is a list of lists"},
    "root_levels": {"surface.min() **": "NumPy takes it too", "surface.max() **": "NumPy takes it too"},
    "adaline": {"(p) @ (w)": "the same product"},
    "stretch": {"[rank]": "a table is a list of lists"},
    "ring": {"(t) - (rank)": "the pieces go round in the other order"},
}


@cache
def solutions(path)->list:
    "For each exercise of a lesson and each variant whose answer is code: the exercise, its solution, the names around."
    nb, lesson = nbformat.read(path, as_version=4), page_name(path)
    known = known_exercises(lesson)
    varied = with_variants(nb, {o.instead.name: o for o in known.values() if o.instead}, solved=True)
    sources = {part["name"]: page.cells[part["solution"]].source
               for page in (nb, varied) for part in lesson_exercises(page)}
    names = surroundings(nb, dict(vars(import_module(f"course_dl.{lesson}"))))
    return [(known[name], solution_code(source), names) for name, source in sources.items()
            if callable(known[name].reference)]


def answer(source:str, names:dict):
    "The last function or class that a solution defines."
    space = dict(names)
    exec(compile(source, "solution", "exec"), space)
    return space[[node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)][-1]]


def mutants(source:str):
    "Each mutant once: its source, and the line that was changed."
    seen = {ast.dump(ast.parse(source))}
    for edit in Mistakes(source).found:
        changed = source[:edit.start] + edit.text + source[edit.end:]
        with suppress(SyntaxError):
            tree = ast.dump(ast.parse(changed))
            if tree not in seen: yield changed, changed[:edit.start].count("\n")
            seen.add(tree)


def told(exercise, attempt)->str:
    "What a check says: `right`, `named` for a mistake with its own sentence, `compared` for a difference, `stopped`."
    try: state, inputs = exercise._judge(attempt)
    except _TimeUp: return "stopped"
    if state == "right": return state
    if state == "not started": return "named" # it names the part in which there is nothing
    if exercise._typical(attempt): return "named"
    difference = exercise._compare(exercise.reference, attempt, inputs)
    return "stopped" if difference.startswith("It stops with") else "compared"


def score(path)->tuple:
    "What the mutants of a lesson's solutions are told, counted; and those that pass, as pairs of exercise and line."
    counts, passed = Counter(), []
    for exercise, source, names in solutions(path):
        for changed, line in mutants(source):
            try: attempt = answer(changed, names)
            except Exception: said = "stopped" # before it was defined
            else: said = told(exercise, attempt)
            text = changed.splitlines()[line].strip()
            if said == "right" and any(part in text for part in EQUIVALENT.get(exercise.name, {})): said = "equivalent"
            if said == "right": passed.append((exercise.name, text))
            counts[said] += 1
    return counts, passed


def title(path)->str: return f"[{page_name(path)}]({path.name})"


def row(name:str, counts:Counter)->str:
    "A line of the table: what was refused of the mutants that are not equivalent, and told what is wrong."
    n = counts.total() - counts["equivalent"]
    refused, told_why = n - counts["right"], counts["named"] + counts["compared"]
    return f"| {name} | {n} | {refused} | {counts['named']} | {counts['compared']} | {told_why/refused:.0%} |"


def main():
    "Write the table into the page of the exercises."
    whole, passed, lines = Counter(), [], []
    for path in LESSONS:
        counts, through = score(path)
        whole, passed = whole + counts, passed + through
        lines.append(row(title(path), counts))
        print(lines[-1], flush=True)
    nb = nbformat.read(PAGE, as_version=4)
    cell = next(cell for cell in nb.cells if cell.source.startswith("## How good are the checks?"))
    head = "| lesson | wrong answers | refused | with a sentence of their own | with expected and got | told why |"
    before, _, after = re.split(r"(^\|[\s\S]*\|$)", cell.source, maxsplit=1, flags=re.M)
    table = [head, "|---|---:|---:|---:|---:|---:|", *lines, row("**all**", whole)]
    cell.source = before + "\n".join(table) + after
    PAGE.write_text(f"{nbformat.writes(nb)}\n", encoding="utf-8")
    for name, line in passed: print(f"passes: {name}: {line}")


if __name__ == "__main__": main()
