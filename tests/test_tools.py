"What helps those who change the course."
import re
import subprocess
from shutil import which

import pytest

from helpers import ROOT, copy_project, prose
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
