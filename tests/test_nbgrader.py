"The export to nbgrader, with the real tool where it is installed, in whatever environment: it gives our points."
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from course_dl.grade import grade_folder
from course_dl.runner import page_name
from course_dl.student import find_variants, lesson_exercises, nbgrader_source, solution_code, with_variants
from helpers import LESSONS, ROOT, read

LESSON = next(path for path in LESSONS if path.stem.endswith("autograd"))
VARIANT = "softplus"  # stands in the place of tanh
RIGHT = {VARIANT: "def my_softplus(v): return Var(v.data.exp().log1p(), (v, lambda g: g*v.data.sigmoid()))",
         "layer_back": "def my_layer_back(g, x, w, b): return g@w.T, x.T@g, g.sum(0)"}
PARTLY = {VARIANT: "def my_softplus(v): return v", "order": """def my_order(end):
    found = [end]
    for node in found: found += [source for source, rule in node.edges if source not in found]
    return found"""}
READ = """
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    found = {s.student.id: {g.cell.name.removesuffix("_points"): g.auto_score for g in s.notebooks[0].grades}
             for s in book.assignment_submissions("autograd")}
print(json.dumps(found))"""


def lesson(): return with_variants(read(LESSON), find_variants(VARIANT), solved=True)


@pytest.fixture
def course(tmp_path):
    "A course of nbgrader with one assignment, and what its kernel needs."
    kernel = tmp_path/"jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    env = {"PYTHONPATH": str(ROOT)}
    (kernel/"kernel.json").write_text(json.dumps(dict(argv=command, display_name="course", language="python", env=env)))
    source = tmp_path/"course/source/autograd/autograd.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(nbgrader_source(lesson(), page_name(LESSON)), source)
    return source.parents[2]


def nbgrader(course, *words):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= dict(JUPYTER_PATH=str(course.parent/"jupyter"), COURSE_DL_OFFLINE="1", OMP_NUM_THREADS="1")
    done = subprocess.run([shutil.which("nbgrader"), *words], cwd=course, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("nbgrader"), reason="nbgrader is not installed")
def test_nbgrader_gives_the_points_that_we_give(course, tmp_path):
    nbgrader(course, "generate_assignment", "autograd", "--create")
    released = nbformat.read(course/"release/autograd/autograd.ipynb", as_version=4)
    solutions = [solution_code(lesson().cells[part["solution"]].source) for part in lesson_exercises(lesson())]
    assert not [cell for cell in released.cells if any(solution in cell.source for solution in solutions)]
    for student, answers in dict(ana=RIGHT, ben=PARTLY, cid={}).items():
        for cell in released.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in answers: cell.source = answers[name]
        for folder in (course/"submitted"/student/"autograd", tmp_path/"class"/student):
            folder.mkdir(parents=True)
            nbformat.write(released, folder/"autograd.ipynb")
        released = nbformat.read(course/"release/autograd/autograd.ipynb", as_version=4)
    nbgrader(course, "autograde", "autograd", "--create")
    python = os.path.join(os.path.dirname(os.path.realpath(shutil.which("nbgrader"))), "python")
    theirs = json.loads(subprocess.check_output([python, "-c", READ], cwd=course))
    ours = {}
    for row in grade_folder(tmp_path/"class", trust=True, variants=VARIANT):
        ours.setdefault(row["student"], {})[row["exercise"]] = row["points"]
    assert theirs == ours
    assert ours["ana"][VARIANT] == 1 and 0 < ours["ben"]["order"] < 0.5 and sum(ours["cid"].values()) == 0
