"The exercises: proven both ways, tied to their lessons, and whole in a learner's copies."
import re
from importlib import import_module

import nbformat
import pytest
import torch
from conftest import LESSONS, ROOT, module_name, read
from course_dl.exercises import lesson_exercises, progress_table, read_progress, student_copy, write_student_copies
from nbclient import NotebookClient

def exercises(lesson): return import_module(f"course_dl.checks.{module_name(lesson)}").exercises


@pytest.fixture(params=LESSONS, ids=lambda o: o.stem)
def lesson(request): return request.param


def test_right_answers_pass_and_each_wrong_one_gets_its_own_message(lesson, record_property):
    rows = exercises(lesson).prove()
    record_property("proven", [(lesson.stem, *o) for o in rows])  # shown at the end of the run, see conftest.py
    assert all(sum(name == o for name, _ in rows) >= 3 for o in exercises(lesson).all)


def test_every_exercise_stands_in_its_lesson(lesson):
    nb = read(lesson)
    found = lesson_exercises(nb)
    assert [o["name"] for o in found] == list(exercises(lesson).all) and exercises(lesson).lesson == module_name(lesson)
    assert 3 <= len(found) <= 6
    for o in found: assert "..." in nb.cells[o["stub"]].source and "```python" in nb.cells[o["solution"]].source
    pictures = re.findall(r"\]\(images/(exercise_\w+\.png)\)", "".join(o.source for o in nb.cells))
    assert pictures and all((ROOT/"nbs"/"images"/o).exists() for o in pictures), "no open exercise with a picture"


def test_there_are_forty_exercises(): assert sum(len(exercises(o).all) for o in LESSONS) >= 40


def test_a_check_answers_the_same_twice():
    check = import_module("course_dl.checks.similarity").check
    wrong = lambda a, b: (a-b).mean((-1, -2))
    assert str(check.l1_distance(wrong)) == str(check.l1_distance(wrong))


def test_a_check_survives_any_attempt(lesson):
    "Whatever a learner hands in, the check answers, and leaves random numbers as they were."
    def stops(*args): raise SystemExit
    class Odd:
        def __init__(self, *args): self.x = args
        def __getattr__(self, name): raise RuntimeError(name)
    for o in exercises(lesson).all.values():
        for attempt in (None, ..., 3.25, "a string", [1, 2], {}, stops, lambda: 3, lambda *args, **kwargs: "text", Odd, print):
            assert o._judge(attempt).state != "right", (o.name, attempt)
        before = torch.get_rng_state()
        assert o.check(stops).state == "wrong"
        assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="session")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")/"mine"
    write_student_copies(folder)
    return folder


@pytest.mark.parametrize("solved", [False, True], ids=["blank", "solved"])
def test_copies_run(lesson, copies, solved, monkeypatch):
    "The solved copy passes every check, the blank one stops nowhere and says how to begin."
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = copies/"solutions" if solved else copies
    nb = read(folder/lesson.name)
    assert not re.search(r"^#\|", "\n".join(o.source for o in nb.cells if o.cell_type == "code"), re.M)
    nb.cells = [o for o in nb.cells if "slow" not in o.metadata.get("tags", [])]
    NotebookClient(nb, timeout=250, kernel_name="python3", resources=dict(metadata=dict(path=folder))).execute()
    said = [o.outputs[0].data["text/plain"] for o in nb.cells if re.match(r"check\.\w+\(", o.source)]
    assert said and all(o.startswith("✓" if solved else "○") for o in said), said


def test_progress_reads_what_the_checks_said(copies, tmp_path):
    nb = student_copy(read(LESSONS[0]))
    parts = [o for o in nb.cells if o.source.startswith("check.")]
    for o, sign in zip(parts, "✓✗"): o.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": f"{sign} said"})]
    nbformat.write(nb, tmp_path/LESSONS[0].name)
    done = read_progress(tmp_path)
    assert list(done[LESSONS[0].stem].values())[:3] == ["right", "wrong", "not started"]
    assert progress_table(done).splitlines()[-1].split() == ["in", "all", "1", "of", str(len(parts))]
