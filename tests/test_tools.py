"What helps those who change the course."
import base64
import io
import json
import re
import subprocess
import sys
from shutil import which

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import minutes
import mutants
import store
from helpers import LESSONS, ROOT, copy_project, module_name, prose
from renumber import lessons, renumber


def move(folder, name, place):
    "Put a lesson in another place of the sidebar."
    page = folder/"_quarto.yml"
    order = lessons(page)
    text = page.read_text(encoding="utf-8")
    old = "".join(f"          - {lesson}\n" for lesson in order)
    assert old in text
    order.insert(place, order.pop(order.index(name)))
    page.write_text(text.replace(old, "".join(f"          - {lesson}\n" for lesson in order)), encoding="utf-8")


def test_renumbering_renames_notebooks_and_every_link_to_them(tmp_path):
    folder = copy_project(tmp_path)
    before = lessons(folder/"_quarto.yml")
    move(folder, before[3], 1)
    changed = renumber(folder)
    after = lessons(folder/"_quarto.yml")
    assert set(changed) == {name.removesuffix(".ipynb") for name in before[1:4]}
    assert [name[3:] for name in after] == [before[i][3:] for i in (0, 3, 1, 2, *range(4, len(before)))]
    assert [int(name[:2]) for name in after] == list(range(2, 2+len(after)))
    texts = [path for pattern in ("*.md", "nbs/**/*.ipynb") for path in folder.glob(pattern)]
    for path in texts:
        linked = re.findall(r"\]\((?!\w+:)([^)#\s]+\.ipynb)", prose(path))
        assert not [link for link in linked if not (path.parent/link).exists()], path
        assert not re.search(rf"\b({'|'.join(changed)})\b", path.read_text(encoding="utf-8")), path
    assert not renumber(folder)


def test_renumbering_refuses_what_it_cannot_find(tmp_path):
    folder = copy_project(tmp_path)
    first = lessons(folder/"_quarto.yml")[0]
    (folder/"nbs"/first).unlink()
    with pytest.raises(FileNotFoundError, match=f"lists {first}"): renumber(folder)


@pytest.mark.skipif(which("make") is None, reason="make is not installed")
def test_help_tells_every_command():
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^(\w+):.*## (.+)", (ROOT/"Makefile").read_text(encoding="utf-8"), re.M)
    assert len(targets) > 9
    for name, what in targets: assert re.search(rf"^make {name} +{re.escape(what)}$", told, re.M)


FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


@pytest.mark.parametrize("tags, folds", [(["proof"], True), (["a", "setup"], True), (["plot"], True), (["slow"], False),
                                         ([], False)])
def test_cells_are_folded_by_their_tags_alone(tags, folds):
    for before in ({}, FOLDED):
        nb = new_notebook(cells=[new_code_cell(metadata={"tags": tags} | before), new_markdown_cell("text")])
        store.fold_cells(nb)
        assert [cell.metadata for cell in nb.cells] == [{"tags": tags} | (FOLDED if folds else {}), {}]


def test_what_only_a_kernel_can_show_is_not_stored():
    seen = {"image/png": "", "text/plain": "figure"}
    view = {store.WIDGET: {"model_id": "1", "version_major": 2, "version_minor": 0}}
    cells = [new_code_cell(outputs=[new_output("display_data", data)]) for data in (seen | view, seen)]
    cells += [new_code_cell(outputs=[new_output("stream", text="1")]), new_markdown_cell("text")]
    nb = new_notebook(cells=cells, metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {}}})
    store.drop_widgets(nb)
    assert [cell.outputs[0].data for cell in nb.cells[:2]] == [seen, seen]
    assert "widgets" not in nb.metadata and nb.cells[2].outputs[0].text == "1"
    nbformat.validate(nb)


def test_plots_are_stored_in_few_colors_and_other_pictures_as_they_are():
    "A plot comes with a size; a film has none."
    pixels = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    Image.fromarray(pixels).save(png := io.BytesIO(), "PNG")
    data, size = base64.b64encode(png.getvalue()).decode(), {"image/png": {"width": 40, "height": 20}}
    outputs = [new_output("display_data", {"image/png": data}, metadata=size),
               new_output("display_data", {"image/png": data}), new_output("stream", text="1")]
    nb = new_notebook(cells=[new_markdown_cell("text"), new_code_cell(outputs=outputs)])
    store.shrink_plots(nb)
    plot, film, _ = nb.cells[1].outputs
    picture = Image.open(io.BytesIO(base64.b64decode(plot.data["image/png"])))
    assert (picture.mode, picture.size, plot.metadata) == ("P", (80, 40), size) and film.data["image/png"] == data
    assert len(plot.data["image/png"]) < len(data)
    assert np.abs(np.asarray(picture.convert("RGB")) - pixels.astype(int)).mean() < 32


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts no time of children")
def test_seconds_of_running_are_those_it_computes_and_a_failure_ends_it(tmp_path, monkeypatch):
    "Waiting does not count. A cell marked as slow counts on its own."
    busy = "import time\nwhile time.process_time() < {}: pass\ntime.sleep(2)"
    for name, source in (("02_short", busy.format(2)), ("03_long", busy.format(4)), ("04_bad", "1")):
        slow = "1/0" if name == "04_bad" else busy.format(6)
        nb = new_notebook(cells=[new_code_cell(source), new_code_cell(f"#| slow\n{slow}")])
        (tmp_path/"nbs").mkdir(exist_ok=True)
        nbformat.write(nb, tmp_path/"nbs"/f"{name}.ipynb")
    monkeypatch.setattr(minutes, "ROOT", tmp_path)
    found = minutes.measure_runs(["02_short.ipynb", "03_long.ipynb"])
    assert list(found) == ["short", "long"] and all(6 <= o[1] < 9 for o in found.values())
    assert 2 <= found["short"][0] < 4 <= found["long"][0] < 6
    with pytest.raises(SystemExit, match="ZeroDivisionError"): minutes.measure_runs(["04_bad.ipynb"])


def test_kept_seconds_and_questions_are_about_lessons_that_exist():
    known = {module_name(path) for path in LESSONS}
    seconds, questions = (json.loads((ROOT/"nbs"/name).read_text(encoding="utf-8"))
                          for name in ("running.json", "quiz.json"))
    assert seconds.keys() == known and all(0 < o < 1200 for values in seconds.values() for o in values)
    assert questions.keys() == known


SAYS = "from course_dl.core import *\nSaid('Data', 'digits', dict(real={}))"


@pytest.mark.parametrize("sources, error", [
    ([SAYS.format(True), "#| slow\nresult('42')", "#| eval: false\n1/0"], ""),
    ([SAYS.format(True), SAYS.format(False)], "outputs are stored from real data only"),
    ([SAYS.format(True), "1/0"], "ZeroDivisionError")], ids=["good", "stand-in", "fails"])
def test_outputs_of_good_runs_on_real_data_are_stored(tmp_path, sources, error):
    "Other notebooks stay as they were."
    path = tmp_path/"small.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(o, metadata={"tags": ["proof"]}) for o in sources]), path)
    before = path.read_bytes()
    found = store.run_and_store(path, True, 1)["error"]
    assert error in found and bool(error) == bool(found) and (path.read_bytes() == before) == bool(error)
    if error: return
    stored = nbformat.read(path, as_version=4)
    assert [len(cell.outputs) for cell in stored.cells] == [1, 1, 0]
    assert all(cell.metadata.cellView == "form" for cell in stored.cells)
    last_run = stored.metadata["last_run"]
    assert sorted(last_run) == ["data", "date", "device", "fastai", "torch"] and last_run["data"] == "digits"
    assert "+" not in last_run["torch"] and re.match(r"\d{4}-\d\d-\d\d$", last_run["date"])


def test_a_planted_mistake_is_noticed_by_what_fails(tmp_path):
    red = "import pytest\n\n\n{}def test_red(): assert False\n"
    (tmp_path/"test_fast.py").write_text(red.format(""), encoding="utf-8")
    (tmp_path/"test_slow.py").write_text(red.format("@pytest.mark.slow\n"), encoding="utf-8")
    (tmp_path/"pytest.ini").write_text("[pytest]\naddopts = -m 'not slow'\nmarkers = slow\n", encoding="utf-8")
    assert mutants.python(tmp_path, "-m", "pytest", "-q", "test_slow.py")  # of which nothing is to run
    assert not mutants.python(tmp_path, "-m", "pytest", "-q", "test_fast.py")
