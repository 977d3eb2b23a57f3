"The papers around the project say what settings.ini and the package say."
import re
from shutil import which
from sysconfig import get_path

import pytest
import yaml
from typer.testing import CliRunner

from course_dl.cli import app
from helpers import ROOT, SETTINGS, run

GITHUB = ROOT/".github"
FORMS = sorted(path for path in (GITHUB/"ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
WORKFLOW, = (GITHUB/"workflows").glob("*.yml")
TARGETS = re.findall(r"^(\w+):", (ROOT/"Makefile").read_text(encoding="utf-8"), re.M)


def load(path): return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # "on" and 3.10 stay text


def text(name): return (ROOT/name).read_text(encoding="utf-8")


def test_citation_names_this_version():
    citation = load(ROOT/"CITATION.cff")
    assert {key: citation[key] for key in ("title", "version", "abstract", "repository-code", "url")} == {
        "title": SETTINGS["title"], "version": SETTINGS["version"], "abstract": SETTINGS["description"],
        "repository-code": SETTINGS["git_url"], "url": SETTINGS["doc_host"] + SETTINGS["doc_baseurl"]}
    assert [author["name"] for author in citation["authors"]] == [SETTINGS["author"]]
    assert citation["keywords"] == SETTINGS["keywords"].split()
    assert citation["license"] == "Apache-2.0" and SETTINGS["license"] == "apache2"


def test_code_and_text_have_a_license_each_and_all_papers_say_the_same():
    assert "Apache License" in text("LICENSE") and SETTINGS["license"] == "apache2"
    assert "creativecommons.org/licenses/by/4.0/legalcode" in text("LICENSE-TEXT")
    for name in ("README.md", "NOTICE", "CONTRIBUTING.md", "docs/_templates/licenses.html"):
        said = text(name)
        assert re.search(r"code\b.{,60}\bApache (License )?2\.0", said, re.I | re.S), name
        assert re.search(r"text\b.{,60}\bCC BY 4\.0", said, re.I | re.S) and "LICENSE-TEXT" in said, name
        assert not re.search(r"(code and the text|text and the code) are under", said), name


def test_accessibility_says_whom_to_write_to_and_every_page_links_to_it():
    said = text("docs/accessibility.md")
    assert SETTINGS["author_email"] in said and f"{SETTINGS['git_url']}/issues" in said
    assert 'pathto(up + "accessibility")' in text("docs/_templates/licenses.html")
    assert "licenses" in load(ROOT/"docs/sphinx.yml")["html_theme_options"]["footer_start"]



def test_version_is_one_and_its_changes_are_told():
    assert re.search(r'__version__ = "(.+)"', text("course_dl/__init__.py"))[1] == SETTINGS["version"]
    assert re.findall(r"^## (\S+)", text("CHANGELOG.md"), re.M)[0] == SETTINGS["version"]


def test_security_says_which_version_and_where_to_report():
    assert f"now {SETTINGS['version']} or newer" in text("SECURITY.md")
    report = f"{SETTINGS['git_url']}/security/advisories/new"
    assert report in text("SECURITY.md")
    assert report in [link["url"] for link in load(GITHUB/"ISSUE_TEMPLATE/config.yml")["contact_links"]]


def test_conduct_names_whom_to_write_to(): assert SETTINGS["author_email"] in text("CODE_OF_CONDUCT.md")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_form_asks_what_github_accepts(path):
    form = load(path)
    assert form["name"] and form["description"]
    names = [part["id"] for part in form["body"]]
    assert names and len(set(names)) == len(names)
    for part in form["body"]:
        assert part["type"] in ("dropdown", "input", "textarea") and part["attributes"]["label"]
        assert part["type"] != "dropdown" or part["attributes"]["options"]


def test_forms_and_papers_name_commands_that_exist():
    asked = " ".join([path.read_text(encoding="utf-8") for path in [*FORMS, GITHUB/"PULL_REQUEST_TEMPLATE.md"]]
                     + [text(name) for name in ("SECURITY.md", "CONTRIBUTING.md", "README.md")])
    for verb in set(re.findall(r"`[^`\n]*course_dl ([a-z]+)", asked)):
        assert CliRunner().invoke(app, [verb, "--help"]).exit_code == 0, verb
    assert set(re.findall(r"`make ([a-z]+)", asked)) <= set(TARGETS)


def steps(): return [step for job in load(WORKFLOW)["jobs"].values() for step in job["steps"]]


def test_workflow_tests_the_oldest_and_the_newest_python_and_runs_what_exists():
    jobs = load(WORKFLOW)["jobs"]
    rows = jobs["test"]["strategy"]["matrix"]["include"]
    pythons = SETTINGS["pythons"].split()
    assert {row["python"] for row in rows} >= {pythons[0], pythons[-1]} and jobs["newest"]["steps"]
    assert {row["python"] for row in rows} <= set(pythons)
    assert {row["data"] for row in rows} == {"web", "embedded"}
    assert {row["os"].partition("-")[0] for row in rows} == {"ubuntu", "macos", "windows"}
    commands = "\n".join(step.get("run", "") for step in steps())
    assert set(re.findall(r"^make (\w+)", commands, re.M)) <= set(TARGETS)
    assert all(job in jobs for other in jobs.values() for job in re.findall(r"\w+", str(other.get("needs", ""))))


def test_workflow_keeps_its_rights_small():
    "What zizmor looks at, and that a page is published only after the tests."
    workflow = load(WORKFLOW)
    assert workflow["permissions"] == {}
    writes = {name: job["permissions"] for name, job in workflow["jobs"].items() if "write" in str(job["permissions"])}
    assert writes == {"deploy": {"pages": "write", "id-token": "write"}}
    before, found = ["deploy"], set()
    while before:
        needs = workflow["jobs"][before.pop()].get("needs", [])
        before += [needs] if isinstance(needs, str) else needs
        found |= set(before)
    assert found >= {"lint", "test", "build", "site"}
    run(which("zizmor", path=get_path("scripts")), "--offline", "--quiet", str(ROOT))
