"Grading: handed-in notebooks of many kinds, each with the points it has earned, and nothing changed around them."
import json
import os
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from typer.testing import CliRunner

from course_dl import grade
from course_dl.cli import app
from course_dl.grade import grade_folder, grades_csv, hand_ins
from course_dl.student import lesson_exercises, student_copy
from helpers import LESSONS, ROOT, read

LESSON = next(path for path in LESSONS if path.stem.endswith("autograd"))
NAMES = ["tanh", "layer_back", "order", "vanishing"]
WRONG_TANH = "def my_tanh(v): return v"
RIGHT_TANH = """def my_tanh(v):
    out = v.data.tanh()
    return Var(out, (v, lambda g: g*(1 - out**2)))"""


def solved(**answers):
    "A solved copy with other answers, by exercise; a function of the cells may follow."
    nb, parts = student_copy(read(LESSON), solved=True), lesson_exercises(read(LESSON))
    stubs = {part["name"]: read(LESSON).cells[part["stub"]].id for part in parts}
    for cell in nb.cells:
        for name, source in answers.items():
            if cell.id == stubs[name]: cell.source = source
    return nb


def with_cells(nb, change):
    nb.cells = change(nb.cells)
    return nb


def before(source): return with_cells(solved(), lambda cells: [new_code_cell(source), *cells])


def answers_only(cells): return [cell for cell in cells if cell.source.startswith(("def my_", "def comes_back"))]


def retyped(cells):
    return [new_markdown_cell(cell.source) if cell in answers_only(cells) else cell for cell in cells]


def renamed(nb):
    for cell in nb.cells: cell.source = cell.source.replace("my_tanh", "hyperbolic")
    return nb


BLANK_AGAIN = [new_code_cell("def my_tanh(v):\n    # what now?\n    ...")]
CHEAT = """import course_dl.exercises, course_dl.checks.autograd, torch
class Right:
    state = "right"
    def __getattr__(self, name): return lambda *args, **options: self
course_dl.exercises.Exercise._compare = lambda *args, **options: ""
course_dl.exercises.Exercise.check = lambda *args: Right()
course_dl.exercises._difference = lambda *args, **options: ""
torch.allclose = lambda *args, **options: True
for exercise in course_dl.checks.autograd.exercises.all.values(): exercise.probe = lambda *args: True
check = Right()
"""
CORNER = """def my_order(end):
    found = [end]
    for node in found: found += [source for source, rule in node.edges if source not in found]
    return found"""
SPY = """import glob, os, socket
found = glob.glob({folder!r} + "/*") + glob.glob({home!r} + "/*")
try: found.append(socket.create_connection(("127.0.0.1", {port}), timeout=2))
except OSError: pass
for path in ({package!r}, {folder!r} + "/solved/x", "/usr/x", "/x/../etc/x"):
    try: found.append(open(path, "a"))
    except OSError: pass
def my_tanh(v): raise ValueError(f"found {{found}}")"""
FORGED = """import os
for number in range(3, 64):
    try: os.write(number, b'{"result": true, "left": ["dict", []]}\\n'*60 + b'{"end": true}\\n')
    except OSError: pass
def my_tanh(v): return v"""
FORKS = """import os, time
for _ in range(300):
    if not os.fork(): time.sleep(60); os._exit(0)
""" + RIGHT_TANH
KINDS = { # for each kind of notebook: how it is made, its points, and what is said about the first exercise
    "blank": (lambda: student_copy(read(LESSON)), [0, 0, 0, 0], "Not started."),
    "solved": (solved, [1, 1, 1, 1], "Right."),
    "without_copy": (lambda: read(LESSON), [0, 0, 0, 0], "Not started."),
    "retyped": (lambda: with_cells(solved(), retyped), [1, 1, 1, 1], "Right."),
    "moved": (lambda: with_cells(solved(), lambda cells: cells[::-1]), [1, 1, 1, 1], "Right."),
    "answers_only": (lambda: with_cells(solved(), answers_only), [1, 1, 1, 1], "Right."),
    "twice": (lambda: with_cells(solved(), lambda cells: cells + cells), [1, 1, 1, 1], "Right."),
    "blank_again": (lambda: with_cells(solved(), lambda cells: cells + BLANK_AGAIN), [1, 1, 1, 1], "Right."),
    "renamed": (lambda: renamed(solved()), [1, 1, 1, 1], "Right."),
    "deleted": (lambda: with_cells(solved(), lambda cells: [c for c in cells if "my_tanh" not in c.source]),
                [0, 1, 1, 1], "No cell defines `my_tanh`."),
    "last_counts": (lambda: with_cells(solved(), lambda cells: cells + [new_code_cell(WRONG_TANH)]),
                    [0, 1, 1, 1], "the value: Expected"),
    "constant": (lambda: with_cells(solved(tanh=RIGHT_TANH.replace("1 -", "ONE -")),
                                    lambda cells: [new_code_cell("ONE = 1"), *cells]), [1, 1, 1, 1], "Right."),
    "raises": (lambda: solved(tanh="def my_tanh(v):\n    return v.data/undefined"), [0, 1, 1, 1], "NameError"),
    "syntax": (lambda: solved(tanh="def my_tanh(v):\n    return (v"), [0, 1, 1, 1], "is not Python: '(' was never"),
    "typical": (lambda: solved(tanh=RIGHT_TANH.replace("1 - out**2", "1 - out")), [0, 1, 1, 1], "With "),
    "a_result": (lambda: solved(tanh="my_tanh = 3"), [0, 1, 1, 1], "Hand over the function itself"),
    "loop": (lambda: solved(tanh="def my_tanh(v):\n    while True: pass"), [0, 1, 1, 1], "never ends"),
    "sleep": (lambda: solved(tanh="import time\ntime.sleep(999)\n" + RIGHT_TANH), [0, 1, 1, 1], "Stopped after"),
    "exit": (lambda: solved(tanh="import os\nos._exit(0)\n" + RIGHT_TANH), [0, 1, 1, 1], "It ended the process"),
    "system_exit": (lambda: before("raise SystemExit"), [1, 1, 1, 1], "Right."),
    "hog": (lambda: solved(tanh=RIGHT_TANH + "\nkept = []\nwhile True: kept.append(bytearray(10**7))"),
            [0, 1, 1, 1], "2 GB of memory"),
    "forks": (lambda: solved(tanh=FORKS), [0, 1, 1, 1], "more than 100 processes"),
    "prints": (lambda: solved(tanh="for _ in range(10_000): print('x'*100_000)\n" + RIGHT_TANH), [1, 1, 1, 1], ""),
    "cheat": (lambda: solved(tanh=CHEAT + WRONG_TANH, layer_back=CHEAT + "def my_layer_back(*args): return args",
                             order=CHEAT + "def my_order(end): return []", vanishing=CHEAT + "ax = check"),
              [0, 0, 0, 0], ""),
    "forged": (lambda: solved(tanh=FORGED), [0, 1, 1, 1], ""),
    "borrowed": (lambda: solved(tanh="from course_dl.checks.autograd import exercises\n"
                                     "my_tanh = exercises.all['tanh'].reference"), [0, 1, 1, 1], "the course's own"),
}
FILES = {"empty": (b"", "is no notebook"), "words": (b"Dear teacher", "is no notebook"),
         "latin": ("é".encode("latin-1"), "is no notebook"), "a_list": (b"[]", "is no notebook"),
         "broken": (b'{"cells": 3} course_dl.checks.autograd', "is not a notebook"),
         "large": (b" "*(21 << 20), "has over 20 MB")}


UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--ipc", "--uts", "--mount", "--fork", "true"]


def write(folder, nb):
    folder.mkdir(parents=True)
    (folder/LESSON.name).write_text(json.dumps(nb), encoding="utf-8")


def state(folder): return {str(path): sha256(path.read_bytes()).hexdigest()
                           for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    "A class of many kinds, graded once: rows by student, and whether anything around it has changed."
    folder = tmp_path_factory.mktemp("class")
    for kind, (make, *_) in KINDS.items(): write(folder/kind, make())
    for kind, (content, _) in FILES.items(): (folder/f"{kind}.ipynb").write_bytes(content)
    (folder/"nothing").mkdir()
    os.mkfifo(folder/"pipe.ipynb")
    (folder/"link.ipynb").symlink_to(LESSON)
    with socket.create_server(("127.0.0.1", 0)) as server:
        package = ROOT/"course_dl"/"grade.py"
        spy = SPY.format(folder=str(folder), home=os.path.expanduser("~"), port=server.getsockname()[1],
                         package=str(package))
        write(folder/"spy", solved(tanh=spy))
        write(folder/"corner", solved(order=CORNER))
        was = state(folder), state(ROOT/"course_dl")
        try: rows = grade_folder(folder, seconds=20, memory=2)
        except ValueError as e:
            if not subprocess.run(UNSHARE, capture_output=True).returncode: raise # the system could have locked it in
            pytest.skip(str(e))
    students = {}
    for row in rows: students.setdefault(row["student"], []).append(row)
    return students, was == (state(folder), state(ROOT/"course_dl"))


@pytest.mark.slow
def test_each_kind_gets_what_it_has_earned(graded):
    rows = {kind: graded[0][kind] for kind in KINDS}
    assert all([row["exercise"] for row in mine] == NAMES for mine in rows.values())
    unjust = {kind: rows[kind] for kind, (_, points, _) in KINDS.items() if [o["points"] for o in rows[kind]] != points}
    assert not unjust
    unsaid = {kind: rows[kind][0] for kind, (*_, said) in KINDS.items() if said not in rows[kind][0]["reason"]}
    assert not unsaid


@pytest.mark.slow
def test_what_is_no_notebook_gets_a_sentence_and_stops_nobody(graded):
    for kind, (_, said) in FILES.items():
        assert [row["points"] for row in graded[0][kind]] == [0, 0, 0, 0]
        assert all(said in row["reason"] for row in graded[0][kind]), (kind, graded[0][kind])
    for kind in ("link", "pipe"): assert graded[0][kind][0]["reason"] == "This is not a file."
    assert graded[0]["nothing"][0]["reason"] == "There is no notebook."


@pytest.mark.slow
def test_answers_see_and_change_nothing_around_them(graded):
    students, unchanged = graded
    assert "found []" in students["spy"][0]["reason"], students["spy"][0]
    assert unchanged


@pytest.mark.slow
def test_half_a_point_at_most_for_an_answer_that_fails_in_a_corner(graded):
    row = graded[0]["corner"][2]
    assert 0 < row["points"] == int(50*row["right"]/row["inputs"])/100 < 0.5 and "With " in row["reason"], row


def test_same_folder_same_csv(tmp_path, monkeypatch):
    files = []
    for seed in "12":
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        folder = tmp_path/seed
        kinds = [("ana", solved(order=CORNER)), ("ben", solved(tanh=WRONG_TANH, layer_back="def my_layer_back(): ..."))]
        for name, nb in kinds[::1 if seed == "1" else -1]: write(folder/name, nb)
        command = ["grade", str(folder), "--csv", str(tmp_path/f"{seed}.csv"), "--trust"] # they are our own
        said = CliRunner().invoke(app, command)
        assert said.exit_code == 0 and "ana  autograd  3." in said.output, said.output
        files.append((tmp_path/f"{seed}.csv").read_bytes())
    assert files[0] == files[1] and files[0].count(b"\n") == 9


def test_an_answer_has_five_times_as_long_as_the_reference(tmp_path, monkeypatch):
    "Where that is longer than the exercise says, and is told how long it had."
    exercises = {name: replace(o, seconds=0.02, examples=3) for name, o in grade.known_exercises("autograd").items()}
    quick = exercises["tanh"].reference
    exercises["tanh"].reference = lambda v: time.sleep(0.1) or quick(v)
    monkeypatch.setattr(grade, "known_exercises", lambda lesson: exercises)
    answers = [RIGHT_TANH.replace(":", f":\n    {line}", 1) for line in ("time.sleep(0.1)", "while True: pass")]
    jobs = [dict(student="", bytes=json.dumps(solved(tanh=f"import time\n{answer}")).encode(), bad="", said={}, rows=[])
            for answer in answers]
    how = dict(folder=tmp_path, trust=True, seconds=60., memory=4.)
    with ThreadPoolExecutor() as pool: pool.submit(grade._grade_lesson, "autograd", LESSON, jobs, 1, how, {}).result()
    slow, endless = (job["rows"][0] for job in jobs)
    assert slow["points"] == 1, slow
    assert 0.5 <= float(re.fullmatch(r"One input takes over ([\d.]+) s. .*", endless["reason"])[1]) < 60


PLOT = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot(range(LENGTH))"


def test_a_picture_is_that_of_its_cell_and_knows_what_is_above_it():
    "A sketch under it, another plot below, and what is only said there, do not count."
    sketch, nb = "fig, ax = plt.subplots()", solved(vanishing=PLOT)
    place, moved = next((place, cell) for place, cell in enumerate(nb.cells, 1) if cell.source == PLOT)
    below = ["LENGTH = 3", PLOT.replace("ax", "other").replace("LENGTH", "8"), sketch]
    nb.cells = [new_code_cell("LENGTH = 5"), *nb.cells[:place], new_code_cell(sketch), *nb.cells[place:],
                *map(new_code_cell, below)]
    lesson, exercises = read(LESSON), grade.known_exercises("autograd")
    part = next(part for part in lesson_exercises(lesson) if part["name"] == "vanishing")
    for keep in (True, False):  # JupyterLab gives a pasted cell another id
        if not keep: moved.id = "pasted"
        assert [code for _, code in grade.find_answer(nb, lesson, part)[1]] == [PLOT]
        ax = grade._take_answer(nb, lesson, part, exercises["vanishing"], {})
        assert len(ax.lines[0].get_xdata()) == 5


def test_a_sentence_begins_with_a_capital():
    lines = []
    grade._tell(grade.known_exercises("autograd")["tanh"], ..., lambda **said: lines.append(said))
    assert lines == [dict(none="Not started.")]


def test_without_a_lock_it_refuses(tmp_path, monkeypatch):
    (tmp_path/"ana.ipynb").write_text("{}")
    def refuse(*args): raise OSError(1, "unshare: Operation not permitted")
    monkeypatch.setattr(grade, "_lock_in", refuse)
    with ThreadPoolExecutor() as pool, pytest.raises(ValueError, match="cannot lock foreign code .*unshare.*--trust"):
        pool.submit(grade._grade_here, tmp_path, False, 5., 1., 1).result()  # a browser's test may own this thread


def test_students_are_called_like_files_or_folders(tmp_path):
    for name in ("ben.ipynb", "ana/a.ipynb", "ana/deep/b.ipynb", "ana/.ipynb_checkpoints/a.ipynb", "cid/notes.txt",
                 ".hidden/x.ipynb", "__MACOSX/y.ipynb", "readme.txt"):
        (tmp_path/name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/name).touch()
    found = [(student, path and path.name) for student, path in hand_ins(tmp_path)]
    assert found == [("ana", "a.ipynb"), ("ana", "b.ipynb"), ("ben", "ben.ipynb"), ("cid", None)]
    for folder in (tmp_path/"cid", tmp_path/"nowhere"):
        with pytest.raises(ValueError, match="no notebook in"): hand_ins(folder)


def test_a_name_is_no_formula():
    row = dict(lesson="autograd", exercise="tanh", points=1., right=60, inputs=60, reason="Right.")
    assert grades_csv([row | dict(student="=HYPERLINK()")]).splitlines()[1].startswith("'=HYPERLINK")
