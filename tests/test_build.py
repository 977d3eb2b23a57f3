"The package as others get it: wheel and source archive, built from a copy, installed and imported."
import re
import sys
import tarfile
from email import message_from_bytes
from zipfile import ZipFile

import pytest

from helpers import LESSONS, ROOT, SETTINGS, copy_project, module_name, run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "The folder with both archives; the wheel is built from the source archive."
    folder = copy_project(tmp_path_factory.mktemp("project"))
    run(sys.executable, "-m", "build", "--no-isolation", cwd=folder)
    return folder/"dist"


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def test_what_was_built_installs_and_imports(built, kind, tmp_path):
    archive, = built.glob(kind)
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", str(tmp_path)]
    run(*install, str(archive))
    code = """
import course_dl, course_dl.checks.sgd, pathlib
from course_dl import core, data, ledger
core.plot_style(), data.data_status(), ledger.read_records()
folder = pathlib.Path(course_dl.__file__).parent
print(folder.parent, course_dl.__version__, *sorted(o.name for o in (folder/"lessons").glob("*.*")))"""
    folder, version, *files = run(sys.executable, "-c", code, PYTHONPATH=str(tmp_path)).split()
    assert folder == str(tmp_path) and version == SETTINGS["version"]
    kinds = ".ipynb", ".json", ".mplstyle"
    assert files == sorted(path.name for path in (ROOT/"nbs").glob("*.*") if path.suffix in kinds)


def test_wheel_has_every_module_figures_weights_and_languages_and_no_answers_among_its_lessons(built):
    archive, = built.glob("*.whl")
    files = set(ZipFile(archive).namelist())
    modules = {path.relative_to(ROOT).as_posix() for kind in ("*.py", "*.js", "*.safetensors", "*.mo")
               for path in (ROOT/"course_dl").rglob(kind)}
    assert len(modules) > 30
    assert modules <= files
    assert {f"course_dl/checks/{module_name(path)}.py" for path in LESSONS} <= files
    assert not [name for name in files if "lessons/checks" in name]


def test_licenses_of_others_travel_along(built):
    "The notices are in both archives, and name every file of weights."
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with tarfile.open(source) as archive: names = archive.getnames()
    for files in (ZipFile(wheel).namelist(), names):
        assert {"LICENSE", "LICENSE-TEXT", "NOTICE"} <= {name.rpartition("/")[2] for name in files}
    notice = (ROOT/"NOTICE").read_text(encoding="utf-8")
    assert "Zalando" in notice and "Attribution-ShareAlike 3.0" in notice
    for path in (ROOT/"course_dl"/"weights").iterdir(): assert path.name in notice


def test_metadata_says_where_it_runs_and_its_links_lead_somewhere_from_outside(built):
    archive, = built.glob("*.whl")
    metadata, = [name for name in ZipFile(archive).namelist() if name.endswith("METADATA")]
    package = message_from_bytes(ZipFile(archive).read(metadata))
    kinds = package.get_all("Classifier")
    pythons = SETTINGS["pythons"].split()
    assert pythons[0] == SETTINGS["min_python"]
    assert [kind.split(" :: ")[-1] for kind in kinds if re.search(r":: 3\.", kind)] == pythons
    text = package.get_payload(decode=True).decode("utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert f"{SETTINGS['git_url']}/raw/{SETTINGS['branch']}/nbs/images/cover.png" in links
    assert f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}/LICENSE" in links
    assert all(re.match("https?:|#", link) for link in links)
