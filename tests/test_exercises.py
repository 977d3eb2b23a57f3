"The exercises, which nbs/checks proves: tied to their lessons, and whole in a learner's copies."
import re
import signal
import subprocess
import sys
from ast import literal_eval
from dataclasses import replace
from importlib import import_module

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

import score
from course_dl.exercises import Exercise, curves, tensors
from course_dl.student import (
    judge_again,
    lesson_exercises,
    progress_table,
    read_progress,
    student_copy,
    write_student_copies,
)
from helpers import LESSONS, ROOT, module_name, read


def exercises(lesson): return import_module(f"course_dl.checks.{module_name(lesson)}").exercises


def every(lesson): return [*exercises(lesson).known().values()]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request): return request.param


def test_a_run_of_its_notebook_proves_the_exercises(lesson):
    cells = read(ROOT/"nbs/checks"/f"{module_name(lesson)}.ipynb").cells
    assert any("= exercises.prove()" in cell.source and "#| slow" not in cell.source for cell in cells)
    shown = str([cell.outputs for cell in cells if cell.cell_type == "code"])
    missing = [name for name in exercises(lesson).known() if name not in shown]
    assert not missing, f"`make notebooks LESSON=checks/{module_name(lesson)}` stores the table of wrong answers"


def test_every_exercise_has_what_the_course_asks_of_it(lesson):
    "An exercise needs a reference and inputs; one of the course has mistakes, unusual answers and hints as well."
    for exercise in every(lesson):
        assert len(exercise.mistakes) >= 3, exercise.name
        assert len(exercise.unusual) >= (4 if callable(exercise.reference) else 2), exercise.name
        assert len(exercise.hints) >= 2 and len(set(exercise.hints)) == len(exercise.hints), exercise.name


def test_twelve_exercises_have_ten_right_answers():
    found = [exercise for lesson in LESSONS for exercise in exercises(lesson).all.values()]
    assert sum(1 + len(exercise.unusual) >= 10 for exercise in found) >= 12


def is_picture(exercise): return hasattr(exercise.reference, "get_lines")


def drawn_again(ax, order):
    "A picture with the same curves as clouds of points, in another order."
    new = Figure().subplots()
    for x, y in curves(ax):
        places = order(len(x))
        new.scatter(x[places], y[places])
    new.set(xlabel=ax.get_xlabel(), ylabel=ax.get_ylabel(), xscale=ax.get_xscale(), yscale=ax.get_yscale())
    if ax.get_legend(): new.legend([text.get_text() for text in ax.get_legend().get_texts()])
    return new


@pytest.mark.parametrize("order", [torch.arange, torch.randperm], ids=["in-order", "shuffled"])
def test_points_are_as_right_as_lines(lesson, order):
    torch.manual_seed(0)
    for exercise in filter(is_picture, exercises(lesson).all.values()):
        for ax in (exercise.reference, *exercise.unusual):
            if curves(ax) and not ax.patches: assert exercise.check(drawn_again(ax, order)), exercise.name


def test_sizes_of_inputs_vary(lesson):
    "No answer can count on the length of an axis that the task leaves open."
    for exercise in every(lesson):
        tries = exercise._tries
        sizes = {tuple(o.shape if isinstance(o, torch.Tensor) else len(o) for o in inputs.values()
                       if isinstance(o, torch.Tensor | list)) for inputs in tries}
        fixed = exercise.name == "foretell"  # a bowl over two parameters, as in the lesson
        assert len(sizes) > 1 or sizes <= {()} or fixed, (exercise.name, sizes)


def test_mutants_of_the_solutions_are_refused(lesson):
    "The table on the page is what is counted here; the solutions themselves are right."
    for exercise, source, names in score.solutions(lesson):
        assert exercise._judge(score.answer(source, names))[0] == "right", exercise.name
    counts, passed = score.score(lesson)
    page = next(cell.source for cell in read(score.PAGE).cells if cell.source.startswith("## How good"))
    said, counted = ([int(o) for o in re.findall(r"\| (\d+)(?= \|)", row)] for row in (
        next(line for line in page.splitlines() if line.startswith(f"| {score.title(lesson)} |")),
        score.row(score.title(lesson), counts)))
    assert said[:2] == counted[:2], f"run tools/score.py; as right as the solution pass {passed}"
    assert max(abs(a-b) for a, b in zip(said, counted)) <= 3, (said, counted) # a busy machine stops some unheard


def test_the_score_is_good():
    page = next(cell.source for cell in read(score.PAGE).cells if cell.source.startswith("## How good"))
    mutants, refused, named, compared = map(int, re.search(r"\*\*all\*\*" + 4*r" \| (\d+)", page).groups())
    assert mutants >= 600 and refused >= 0.98*mutants and named + compared >= 0.6*refused


def test_a_mutant_that_is_said_to_be_equivalent_exists():
    lines = {}
    for lesson in LESSONS:
        for exercise, source, _ in score.solutions(lesson):
            lines[exercise.name] = [changed.splitlines()[i] for changed, i in score.mutants(source)]
    for name, parts in score.EQUIVALENT.items():
        for part in parts: assert any(part in line for line in lines[name]), (name, part)


def test_every_exercise_stands_in_its_lesson(lesson):
    nb = read(lesson)
    found = lesson_exercises(nb)
    assert [part["name"] for part in found] == list(exercises(lesson).all)
    assert exercises(lesson).lesson == module_name(lesson)
    assert 3 <= len(found) <= 5, f"a lesson has three to five exercises, {module_name(lesson)} has {len(found)}"
    for part in found:
        assert "..." in nb.cells[part["stub"]].source and "```python" in nb.cells[part["solution"]].source
    pictures = re.findall(r"\]\(images/(exercise_\w+\.png)\)", "".join(cell.source for cell in nb.cells))
    assert pictures and all((ROOT/"nbs/images"/name).exists() for name in pictures), "no open exercise with a picture"


def test_a_check_answers_the_same_twice():
    check = import_module("course_dl.checks.similarity").check
    def wrong(a, b): return (a-b).mean((-1, -2))
    assert str(check.l1_distance(wrong)) == str(check.l1_distance(wrong))


def test_a_check_survives_any_attempt(lesson):
    "Whatever a learner hands in, the check answers, and leaves random numbers as they were."
    def stops(*args): raise SystemExit
    class Odd:
        def __init__(self, *args): self.x = args
        def __getattr__(self, name): raise RuntimeError(name)
    attempts = (None, ..., 3.25, "a string", [1, 2], {}, stops, lambda: 3, lambda *args, **kwargs: "text", Odd, print)
    for exercise in every(lesson):
        for attempt in attempts: assert exercise._judge(attempt)[0] != "right", (exercise.name, attempt)
        torch.manual_seed(1)  # another state than a check begins with
        np.random.seed(1)
        before, before_np = torch.get_rng_state(), np.random.get_state()[1].copy()
        assert exercise.check(stops).state == "wrong"
        assert torch.equal(before, torch.get_rng_state()) and (before_np == np.random.get_state()[1]).all()


def test_what_is_handed_over_by_mistake_gets_a_sentence(lesson):
    for exercise in every(lesson):
        assert "between the parentheses" in exercise.check().message
        if not callable(exercise.reference): continue
        assert "None, which is nothing at all. Hand over the" in exercise.check(None).message, exercise.name
        assert re.search("(a result|an object of your class), a Tensor", exercise.check(torch.ones(2)).message)


def test_inputs_that_are_shown_tell_something(lesson):
    "The first input that shows a mistake is never all zeros, and is shown whole."
    for exercise in every(lesson):
        if not isinstance(exercise.inputs, dict): continue
        inputs = exercise._find(lambda inputs: True)
        values = [value for value in inputs.values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
        assert all(value.any() and value.numel() <= 100 for value in values), (exercise.name, inputs)


def test_an_answer_that_counts_on_a_size_is_refused():
    check = import_module("course_dl.checks.similarity").check
    verdict = check.median_image(lambda images: images.sort(0).values[1])
    shown = re.search(r"^  images = tensor\((.+)\)$", verdict.message, re.M)[1]
    assert not verdict and len(literal_eval(shown)) == 5


def endless(*args, **options):
    while True:
        options = dict(options)  # before the `try`: Python 3.10 stops no loop that begins with one
        try: args = args
        except Exception: pass


def test_an_endless_attempt_is_stopped(lesson, monkeypatch):
    for exercise in every(lesson):
        if not callable(exercise.reference): continue
        monkeypatch.setattr(exercise, "seconds", 0.05)
        assert stopped_after(exercise.check(endless).message) >= 0.05


def stopped_after(text):
    "The seconds that an attempt had: more than asked for, where the reference is slow."
    return float(re.match(r"stopped after ([\d.]+) s\. Is there a loop", text)[1])


def test_an_endless_attempt_may_be_an_older_one(monkeypatch):
    "A cell with a newer one has stopped."
    exercise = replace(exercises(LESSONS[0]).all["l1_distance"], seconds=0.1)
    monkeypatch.setattr("course_dl.exercises._failed", {"mine": (endless, "SyntaxError")})
    older, stopped = exercise.check(endless).message.splitlines()
    assert older.startswith("the cell with `mine` stopped with SyntaxError") and stopped_after(stopped) >= 0.1


def test_an_interruption_is_one_line():
    code = ("import signal, sys; from course_dl.checks.similarity import check\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell in the background has it ignored
            "def endless(a, b):\n    print('it runs', file=sys.stderr, flush=True)\n    while True: pass\n"
            "print(check.l1_distance(endless))")
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as run:
        assert run.stderr.readline() == "it runs\n"
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert out == "✗ l1_distance: interrupted. Is there a loop that never ends?\n" and not errors


def test_after_a_failed_cell_the_check_tells_of_the_older_answer():
    "In a real kernel: a syntax error, then an error as the cell runs, then a cell that works."
    nb = new_notebook(cells=[new_code_cell(source, metadata=dict(tags=["raises-exception"])) for source in (
        "from course_dl.checks.similarity import check",
        "def mine(a, b): return (a-b).abs().mean((-1, -2))", "check.l1_distance(mine)",
        "def mine(a, b) return 3", "check.l1_distance(mine)",
        "mine = 3/0", "1 + 1", "check.l1_distance(mine)",
        "def mine(a, b): return (a-b).abs().sum((-1, -2))", "check.l1_distance(mine)")])
    NotebookClient(nb, timeout=120, kernel_name="python3").execute()
    first, after_syntax, after_error, fixed = [
        cell.outputs[0].data["text/plain"] for cell in nb.cells if cell.source.startswith("check.")]
    assert "stopped" not in first + fixed and first[0] == "✓" and fixed[0] == "✗"
    assert after_syntax.startswith("✓ l1_distance: the cell with `mine` stopped with SyntaxError, so this may be about")
    assert "stopped with ZeroDivisionError" in after_error


def test_prints_are_shown_once_above_the_verdict(capsys):
    exercise = Exercise("total", lambda x: x.sum(), inputs=dict(x=tensors(2, 3)))
    def loud(x):
        print("I see", len(x), "rows")
        return x.sum()
    assert exercise.check(loud) and capsys.readouterr().out == "I see 2 rows\n"
    assert not exercise.check(lambda x: print("total:", x.sum().item()))
    assert re.fullmatch(r"total: \S+\n", capsys.readouterr().out)


def test_an_error_comes_with_the_line_of_the_learner():
    def my_total(x):
        y = x.sum()
        return y.undefined
    message = Exercise("total", lambda x: x.sum(), inputs=dict(x=tensors(2))).check(my_total).message
    shown = r"It stops with AttributeError: .*undefined.*\n  line \d+: return y\.undefined\n"
    assert re.search(shown, message), message


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")/"mine"
    write_student_copies(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("solved", [False, True], ids=["blank", "solved"])
def test_copies_run(lesson, copies, solved, monkeypatch):
    "The solved copy passes every check, the blank one stops nowhere and says how to begin."
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = copies/"solutions" if solved else copies
    nb = read(folder/lesson.name)
    nb.cells = [cell for cell in nb.cells if "slow" not in cell.metadata.get("tags", [])]
    NotebookClient(nb, timeout=250, kernel_name="python3", resources=dict(metadata=dict(path=folder))).execute()
    said = [output.data["text/plain"] for cell in nb.cells if re.match(r"check\.\w+\(", cell.source)
            for output in cell.outputs if output.output_type == "execute_result"]
    assert len(said) == len(exercises(lesson).all) and all(text[0] == ("✓" if solved else "○") for text in said), said
    if solved: assert "Next: " in said[0] and said[-1].endswith("That was the last exercise of this lesson.")


def test_copies_fold_each_hint_and_the_solution_on_its_own(lesson):
    nb = read(lesson)
    slow = sum(bool(re.search(r"^#\|\s*slow", cell.source, re.M)) for cell in nb.cells if cell.cell_type == "code")
    copy, bare = student_copy(nb), student_copy(nb, solutions=False)
    assert not re.search(r"^#\|", "\n".join(cell.source for cell in copy.cells if cell.cell_type == "code"), re.M)
    assert sum("slow" in cell.metadata.get("tags", []) for cell in copy.cells) == slow
    text, bare_text = ("\n".join(cell.source for cell in nb.cells) for nb in (copy, bare))
    hints = [hint for exercise in exercises(lesson).all.values() for hint in exercise.hints]
    for hint in hints: assert f"</summary>\n\n{hint}\n\n</details>" in text and hint in bare_text
    assert text.count("<summary>Solution</summary>") == len(exercises(lesson).all)
    assert "<summary>Solution</summary>" not in bare_text and not re.search("solutions? (is|are) folded", bare_text)


def test_a_second_copy_keeps_what_the_learner_wrote(copies):
    path = copies/LESSONS[0].name
    fresh = path.read_text(encoding="utf-8")
    nb = read(path)
    stub = next(i for i, cell in enumerate(nb.cells) if cell.source.startswith("check."))-1
    nb.cells[stub].source = "def my_answer(): return 42"
    nb.cells.insert(1, new_code_cell("'my own note'"))
    nb.cells[0].source, nb.cells[0].metadata.copied["source"] = "# An older title", "as it was then"
    del nb.cells[-1]  # what is missing comes back
    nbformat.write(nb, path)
    write_student_copies(copies, solutions=False)
    sources, wanted = ([cell.source for cell in read(o).cells] for o in (path, copies/"solutions"/path.name))
    assert "def my_answer(): return 42" in sources and sources[1] == "'my own note'" and sources[-1] == wanted[-1]
    write_student_copies(copies, force=True)
    assert path.read_text(encoding="utf-8") == fresh


@pytest.mark.slow
def test_progress_stops_an_answer_that_never_ends(tmp_path):
    "No loop, so nothing in Python can stop it: the end of its process does."
    cells = ["from course_dl.checks.similarity import check", "def mine(images): return images.median(0).values",
             "check.median_image(mine)", "import time\ndef mine(a, b): time.sleep(1000)",
             "check.l1_distance(mine)"]
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), tmp_path/"mine.ipynb")
    assert judge_again(tmp_path/"mine.ipynb", seconds=60) == dict(median_image="right", l1_distance="wrong")


def test_progress_reads_what_the_checks_said(tmp_path):
    nb = student_copy(read(LESSONS[0]))
    checks = [cell for cell in nb.cells if cell.source.startswith("check.")]
    for cell, said in zip(checks, ("✓ said", "✗ said")):
        cell.outputs = [new_output("execute_result", {"text/plain": said})]
    nbformat.write(nb, tmp_path/LESSONS[0].name)
    done = read_progress(tmp_path)
    assert list(done[LESSONS[0].stem].values())[:3] == ["right", "wrong", "not started"]
    assert progress_table(done).splitlines()[-1].split() == ["in", "all", "1", "of", str(len(checks))]
