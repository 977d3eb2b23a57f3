"Variants of exercises: handed out in their places, graded by what was set, and never given away with a copy."
import re
from importlib import import_module

import nbformat
import pytest
from typer.testing import CliRunner

import score
from course_dl.checks.similarity import exercises
from course_dl.cli import app
from course_dl.exercises import Wrong
from course_dl.grade import _take_answer, find_answer, grade_folder, points
from course_dl.runner import page_name
from course_dl.student import (
    find_variants,
    lesson_exercises,
    nbgrader_source,
    student_copy,
    with_variants,
    write_nbgrader,
)
from helpers import LESSONS, ROOT, read

LESSON = next(path for path in LESSONS if path.stem.endswith("similarity"))
PRIVATE = re.search(r"^```python\n(.+?)^```", next(cell.source for cell in read(ROOT/"nbs/24_teaching.ipynb").cells
                                                   if cell.source.startswith("## Another task")), re.M | re.S)[1]
SPY = """import course_dl.checks.similarity as checks, gc, linecache, sys
frame, seen = sys._getframe(), list(gc.get_objects())
while frame: seen, frame = seen + list(frame.f_locals.values()), frame.f_back
codes = [o.__code__ for o in seen if isinstance(o, type(lambda: 0))]
found = [code for code in codes if "private" in code.co_filename and {"amax", "flatten"} & set(code.co_names)]
lines = [lines[2] for lines in linecache.cache.values() if len(lines) > 2]
found += [text for text in [*seen, *map(str, lines)] if isinstance(text, str) and "def worst" "_pixel" in text]
def my_worst_pixel(a, b): raise ValueError(f"{found} {checks.exercises.variants['worst_pixel'].reference(a, b)}")"""


def checks(path): return import_module(f"course_dl.checks.{page_name(path)}").exercises


def test_ten_exercises_in_eight_lessons_have_a_variant():
    found = [(path, variant) for path in LESSONS for variant in checks(path).variants.values()]
    assert len(find_variants("all")) == len(found) >= 10 and len({path for path, _ in found}) >= 8
    names = [name for path in LESSONS for name in [*checks(path).all, *checks(path).variants]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_answer_to_the_exercise_earns_nothing(path):
    "Neither under the variant's name, nor under its own in a notebook; the variant's solution earns the point."
    known = {exercise.name: (source, names | {"__name__": "__main__"})  # a learner's, not the course's own
             for exercise, source, names in score.solutions(path)}
    for name, variant in checks(path).variants.items():
        assert points(page_name(path), name, score.answer(*known[name])) == 1
        assert points(page_name(path), name, score.answer(*known[variant.instead.name])) == 0, name
        varied = with_variants(read(path), {variant.instead.name: variant})
        part = next(part for part in lesson_exercises(varied) if part["name"] == name)
        copied = student_copy(varied, solutions=False)
        assert known[name][0] not in "\n".join(cell.source for cell in copied.cells)
        place = next(i for i, cell in enumerate(copied.cells) if cell.source == varied.cells[part["stub"]].source)
        assert copied.cells[place-1].source.startswith(f"### {list(checks(path).all).index(variant.instead.name)+1}. ")
        copied.cells[place].source = known[variant.instead.name][0]
        with pytest.raises(Wrong, match=f"No cell defines `my_{name}`"): find_answer(copied, varied, part)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_nbgrader_gets_the_task_and_its_solution(path):
    chosen = {variant.instead.name: variant for variant in checks(path).variants.values()}
    marked = nbgrader_source(with_variants(read(path), chosen, solved=True), page_name(path))
    cells = {cell.metadata.nbgrader["grade_id"]: cell.source for cell in marked.cells if "nbgrader" in cell.metadata}
    for name in checks(path).variants:
        assert "### BEGIN SOLUTION\ndef my_" + name in cells[name]
        assert cells[f"{name}_points"].endswith(f'points("{page_name(path)}", "{name}", my_{name})')
    assert not cells.keys() & chosen.keys()


def test_assignments_lie_where_nbgrader_looks(tmp_path):
    paths = write_nbgrader(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"source/{name}/{name}.ipynb" for name in map(page_name, LESSONS)]
    assert all(read(path).cells and list((path.parent/"images").iterdir()) for path in paths)


@pytest.fixture
def private(tmp_path):
    "The file of a teacher, as the page for those who teach shows it."
    path = tmp_path/"elsewhere/private.py"
    path.parent.mkdir()
    path.write_text(PRIVATE, encoding="utf-8")
    yield path
    exercises.variants.pop("worst_pixel", None)


def answered(nb, source):
    "A copy with an answer to its second exercise."
    copy = student_copy(nb, solutions=False)
    place = next(i for i, cell in enumerate(copy.cells) if re.match(r"check\.(worst_pixel|l1_distance)\(", cell.source))
    copy.cells[place-1].source = source
    return copy


@pytest.mark.slow
def test_a_private_task_is_graded_by_what_was_set(tmp_path, private):
    own, varied = read(LESSON), with_variants(read(LESSON), find_variants(str(private)))
    def mine(body): return f"def my_worst_pixel(a, b): return {body}"
    right, public = "(a-b).abs().flatten(1).max(1).values", "(a-b).abs().mean((-1, -2))"
    lesson_s = f"def my_l1_distance(a, b): return {public}"
    hand_ins = dict(ana=(varied, mine(right)), ben=(varied, mine(public)), cid=(own, lesson_s), dan=(varied, lesson_s),
                    eve=(varied, SPY))
    (tmp_path/"class").mkdir()
    for name, (nb, source) in hand_ins.items(): nbformat.write(answered(nb, source), tmp_path/"class"/f"{name}.ipynb")
    rows = {row["student"]: row for row in grade_folder(tmp_path/"class", trust=True, variants=str(private))
            if row["exercise"] == "worst_pixel"}
    assert {name: row["points"] for name, row in rows.items()} == dict(ana=1, ben=0, cid=0, dan=0, eve=0)
    assert rows["ben"]["reason"].startswith("That is the mean")
    assert rows["cid"]["reason"] == "The task worst_pixel was set; this notebook holds l1_distance in its place."
    assert rows["dan"]["reason"] == "No cell defines `my_worst_pixel`."
    assert "ValueError: [] None" in rows["eve"]["reason"], rows["eve"]
    part, exercise = lesson_exercises(own)[1], exercises.all["l1_distance"]
    with pytest.raises(Wrong, match="The task l1_distance was set; this notebook holds worst_pixel in its place."):
        _take_answer(answered(varied, mine(right)), own, part, exercise, {})


def test_copies_hold_the_task_and_nothing_of_the_answer(tmp_path, private):
    said = CliRunner().invoke(app, ["student", str(tmp_path/"copies"), "--variants", str(private)])
    assert said.exit_code == 0 and "solved" not in said.output and not (tmp_path/"copies/solutions").exists()
    nb = read(tmp_path/"copies"/LESSON.name)
    text = "\n".join(cell.source for cell in nb.cells)
    assert "### 2. The worst pixel" in text and 'check.instead(l1_distance="worst_pixel")' in text
    assert "def my_worst_pixel(a, b):\n    ..." in text and "check.worst_pixel(my_worst_pixel)" in text
    assert "abs().amax" not in text and "my_l1_distance" not in text and "<summary>Solution" not in text
    hints = find_variants(str(private))["l1_distance"].hints
    assert all(hint in text for hint in hints)
    other = next(path for path in LESSONS if path != LESSON)
    assert [o.source for o in read(tmp_path/"copies"/other.name).cells] == [
        o.source for o in student_copy(read(other), solutions=False).cells]


def test_what_cannot_be_set_is_refused(tmp_path, private):
    twice = PRIVATE + PRIVATE.replace("worst_pixel", "worse_pixel")
    mistaken, unknown = PRIVATE.replace("return (a-b).abs().amax((-1, -2))", "return a"), PRIVATE.replace("l1_", "l3_")
    for text, said in {"1/0": "ZeroDivisionError", "x = 3": "it makes no variant", unknown: "no exercise called l3_",
                       twice: "one variant for each exercise",
                       mistaken: "AssertionError: right answer 1 does not pass"}.items():
        private.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=re.escape(said)): find_variants(str(private))
    with pytest.raises(ValueError, match="no variant called nobody; there are "): find_variants("nobody")
    with pytest.raises(ValueError, match="missing.py: FileNotFoundError"): find_variants("missing.py")
    with pytest.raises(ValueError, match="no variant called"): grade_folder(tmp_path, variants="nobody")
    for words in (["student", str(tmp_path/"x"), "--variants", "nobody"],
                  ["student", str(tmp_path/"x"), "--nbgrader", "--variants", "mine.py"]):
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 1 and not (tmp_path/"x").exists(), said.output
    assert "nbgrader cannot load tasks from a file" in said.output
