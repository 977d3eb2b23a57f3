"The project is whole: notebooks, modules, links, README and settings agree."
import ast
import json
import re
import subprocess
import sys
import tokenize
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from shutil import which
from sysconfig import get_path
from urllib.parse import urlsplit

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement

from course_dl.runner import folded, split_directives
from helpers import CHECKS, LESSONS, NOTEBOOKS, ROOT, SETTINGS, anchor, copy_project, headings, module_name, prose, read
from minutes import contents, lessons, minutes, with_minutes
from readme import readme

MODULES = sorted(path for path in (ROOT/"course_dl").rglob("*.py") if not path.stem.startswith("_"))
TEXTS = [*NOTEBOOKS, *CHECKS, *sorted(ROOT.glob("*.md")), ROOT/"benchmarks/README.md"]
IF_THERE = {"torchvision"}  # imported only where it is installed
# Required, though nothing of ours imports it.
FOR_OTHERS = {"tqdm": "bars of pooch", "ipywidgets": "bars in notebooks", "ipykernel": "runs notebooks",
              "jinja2": "tables of pandas", "packaging": "versions in doctor", "onnxscript": "PyTorch's way to ONNX"}


def nbdev(command, folder):
    subprocess.run([sys.executable, "-c", f"from nbdev.{command}"], cwd=folder, check=True, capture_output=True)


def content(folder):
    "Of modules and notebooks; JupyterLab keeps copies beside them."
    files = (path for path in folder.rglob("[!.]*.*") if path.suffix in (".py", ".ipynb"))
    files = (path for path in files if path.parent.name != ".ipynb_checkpoints")
    return {path.relative_to(folder): path.read_text(encoding="utf-8") for path in files}


def code(path): return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_modules_are_what_the_notebooks_export(tmp_path):
    copy_project(tmp_path)
    for path in (tmp_path/"course_dl").rglob("[!_]*.py"): path.unlink()
    nbdev("doclinks import nbdev_export; nbdev_export()", tmp_path)
    assert content(tmp_path/"course_dl") == content(ROOT/"course_dl")


def test_notebooks_are_clean(tmp_path):
    copy_project(tmp_path)
    nbdev("clean import nbdev_clean; nbdev_clean()", tmp_path)
    assert content(tmp_path/"nbs") == content(ROOT/"nbs")


def test_notebook_has_outputs_and_no_errors(notebook):
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert outputs, "run `make notebooks`"
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_notebook_names_its_kernel(notebook):
    "Without a kernelspec JupyterLab and VS Code ask for one."
    assert read(notebook).metadata.get("kernelspec", {}).get("name") == "python3"


def test_stored_tables_have_no_random_id(notebook):
    "pandas gives a styled table another id at every run: name one with `set_uuid`."
    pages = [output.get("data", {}).get("text/html", "") for cell in code(notebook) for output in cell.outputs]
    assert not re.findall(r'id="T_[0-9a-f]{5}"', "".join(pages))


def test_no_output_only_names_an_object(notebook):
    "Such as <Axes: >; a semicolon at the end of its line shows nothing."
    shown = [output.data for cell in code(notebook) for output in cell.outputs if "data" in output]
    texts = [data["text/plain"] for data in shown if set(data) == {"text/plain"}]
    assert not [text for text in texts if re.match(r"(array|[\[(])*(<|__main__\.|functools\.)", text)]


def test_notebook_opens_with_folded_set_up(notebook):
    "In JupyterLab and Colab; no cell is made of directives alone."
    first = code(notebook)[0]
    assert folded.keys() & set(first.metadata.get("tags", [])), "tag the first code cell `setup`, and store it"
    assert first.metadata.jupyter.source_hidden
    assert first.metadata.cellView == "form" and all(split_directives(cell.source)[1] for cell in code(notebook))
    seen = [cell.source for cell in code(notebook) if "jupyter" in cell.metadata]  # of a folded cell the first line
    assert not [source for source in seen if re.match(r"#\| (default_exp|fig-alt)", source)]


@pytest.mark.parametrize("lesson", LESSONS, ids=module_name)
def test_code_of_a_lesson_fits_in_88_columns(lesson):
    lines = [line for cell in code(lesson) for line in cell.source.splitlines()]
    assert not [line for line in lines if len(line) > 88 and not line.startswith("#|")]


def test_notebook_says_what_its_outputs_were_made_with(notebook):
    "When, on what device, from which data, and with the versions that constraints.txt pins."
    made = read(notebook).metadata.get("last_run", {})
    assert set(made) == {"date", "torch", "fastai", "data", "device"}, "run `make notebooks`"
    assert re.match(r"\d{4}-\d\d-\d\d", made["date"]) and made["device"]
    pinned = (ROOT/"constraints.txt").read_text(encoding="utf-8").split()
    assert {f"{name}=={made[name]}" for name in ("torch", "fastai")} <= set(pinned)


def test_outputs_come_from_real_data_and_name_no_folder_of_a_machine(notebook):
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    shown = [value for output in outputs for kind, value in output.get("data", {}).items() if "image/" not in kind]
    text = "".join(map(str, [output.get("text", "") for output in outputs] + shown))
    assert "embedded sample (1,797 digits); figures differ" not in text
    assert not re.search(r"/(home|root|Users|work)/\w", text)


def test_every_picture_has_a_text(notebook):
    for cell in code(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert re.search(r"^#\| fig-alt: \S.{20,}", cell.source, re.M), f"no fig-alt: {cell.source[:80]}"
    assert not re.search(r"!\[\s*\]\(", prose(notebook)), "an image without a text"


def test_notebook_uses_markdown_every_viewer_draws(notebook):
    assert not re.search(r"^:::", prose(notebook), re.M)
    assert set(re.findall(r"</?(\w+)[^<>]*>", prose(notebook))) <= {"details", "summary"}


def test_headings_are_in_order(notebook):
    levels = [level for level, _ in headings(notebook)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a+1 for a, b in zip(levels, levels[1:]))


def links(path): return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def in_our_repository(link):
    """The file that a link to GitHub or Colab names in this repository, the folder of its top for a page about it,
    None for a link to elsewhere. Another user's course_dl is an error."""
    url = urlsplit(link)
    parts = url.path.strip("/").split("/")
    if url.netloc == "colab.research.google.com": parts = parts[1:]
    if url.netloc not in ("github.com", "colab.research.google.com") or parts[1:2] != [SETTINGS["repo"]]: return None
    assert parts[0] == SETTINGS["user"], f"{link} is not {SETTINGS['user']}'s"
    if parts[2:3] in (["blob"], ["tree"], ["raw"]): return ROOT.joinpath(*parts[4:])
    if parts[2:4] == ["actions", "workflows"]: return ROOT/".github/workflows"/parts[4]
    return ROOT


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_links_point_at_something(path):
    "Relative links exist; links to our own repository name files of it, under the user that settings.ini names."
    for link in links(path):
        if re.match(r"\w+:", link):
            place = in_our_repository(link)
            assert place is None or place.exists(), f"{path.name} links to {link}"
            continue
        target, _, heading = link.partition("#")
        place = (path.parent/target).resolve() if target else path
        assert place.exists() and place.is_relative_to(ROOT), f"{path.name} links to {link}"
        if heading and place.suffix in (".ipynb", ".md"):
            assert heading in {anchor(words) for _, words in headings(place)}, f"{path.name} links to {link}"


def test_each_notebook_has_its_own_colab_badge(notebook):
    if notebook.stem == "index": return
    repository, page = f"{SETTINGS['user']}/{SETTINGS['repo']}", notebook.relative_to(ROOT).as_posix()
    cells = read(notebook).cells
    assert f"https://colab.research.google.com/github/{repository}/blob/main/{page}" in cells[1].source
    assert f"git+https://github.com/{repository}" in "".join(cell.source for cell in cells[2:4])


def test_lessons_say_their_number_and_they_and_the_first_page_how_long_reading_takes():
    order = lessons(ROOT/"_quarto.yml")
    pages = {name: read(ROOT/"nbs"/name) for name in order}
    for number, (name, nb) in enumerate(pages.items(), start=1):
        assert any(with_minutes(nb, module_name(ROOT/"nbs"/name), number) in cell.source for cell in nb.cells[:3]), name
    text = (ROOT/"README.md").read_text(encoding="utf-8").replace("](nbs/", "](")
    assert contents(text, {name: minutes(nb) for name, nb in pages.items()}) == text
    for name in order: assert f"]({name}) |" in text, f"{name} needs a row in the table of lessons on nbs/index.ipynb"
    assert [text.index(f"]({name}) |") for name in order] == sorted(text.index(f"]({name}) |") for name in order)


def test_readme_is_what_the_index_generates():
    assert (ROOT/"README.md").read_text(encoding="utf-8") == readme()


def test_every_lesson_and_command_is_explained():
    "Lessons in README; what `make` can do there or, for those who change the course, in CONTRIBUTING."
    text, more = ((ROOT/name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    targets = re.findall(r"^(\w+):.*## ", (ROOT/"Makefile").read_text(encoding="utf-8"), re.M)
    assert len(targets) > 9 and not [path.name for path in LESSONS if path.name not in text]
    assert not [name for name in targets if f"make {name}" not in text+more]


def pages(part):
    "Notebooks named in a part of `_quarto.yml`."
    if isinstance(part, str): return [part]
    if isinstance(part, dict): part = part.get("contents", [])
    return [page for inner in part for page in pages(inner)]


def test_site_lists_every_notebook_once(folder=ROOT):
    "The answers are linked from their lessons."
    site = yaml.safe_load((folder/"_quarto.yml").read_text(encoding="utf-8"))
    assert sorted(pages(site["website"]["sidebar"])) == sorted(path.name for path in (folder/"nbs").glob("*.ipynb"))


def test_every_lesson_has_exercises():
    assert lessons(ROOT/"_quarto.yml") == [path.name for path in LESSONS], "a lesson has its answers in nbs/checks/"


def test_a_broken_project_is_found(tmp_path):
    "A notebook that the site does not list, links to nothing, pictures without a text."
    copy_project(tmp_path)
    test_site_lists_every_notebook_once(tmp_path)
    broken = tmp_path/"nbs"/"99_broken.ipynb"
    table = new_output("display_data", {"text/html": '<table id="T_0a1b2">'})
    picture = new_output("display_data", {"image/png": ""})
    for cell, test in [
        (new_markdown_cell("[a](no.ipynb)"), test_links_point_at_something),
        (new_markdown_cell("[a](#no)"), test_links_point_at_something),
        (new_markdown_cell("[a](https://github.com/someone/course_dl)"), test_links_point_at_something),
        (new_markdown_cell(f"[a]({SETTINGS['git_url']}/blob/main/no.md)"), test_links_point_at_something),
        (new_markdown_cell("![](a.png)"), test_every_picture_has_a_text),
        (new_code_cell("table()", outputs=[table]), test_stored_tables_have_no_random_id),
        (new_code_cell("plot()", outputs=[picture]), test_every_picture_has_a_text),
    ]:
        nbformat.write(new_notebook(cells=[cell]), broken)
        with pytest.raises(AssertionError): test(broken)
    with pytest.raises(AssertionError): test_site_lists_every_notebook_once(tmp_path)


def dotted(module): return ".".join(module.relative_to(ROOT/"course_dl").with_suffix("").parts)


def imported(tree, package=()):
    "Modules that code imports, at the top or inside a function; `package` resolves the relative ones."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): yield from (name.name for name in node.names)
        if not isinstance(node, ast.ImportFrom): continue
        base = package[:len(package)+1-node.level] if node.level else ()
        yield ".".join([*base, *filter(None, [node.module])])


def imports(module):
    package = ["course_dl", *dotted(module).split(".")[:-1]]
    return set(imported(ast.parse(module.read_text(encoding="utf-8")), package))


def imports_of_notebook(path):
    for cell in code(path):
        lines = ["" if re.match(r"\s*[!%]", line) else line for line in cell.source.splitlines()]
        yield from imported(ast.parse("\n".join(lines)))


def normal(name): return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot tell which package brings a module")
def test_whatever_is_imported_is_required_and_the_other_way_round():
    "By modules and notebooks, whose cells run where only the package is installed."
    names = {name for path in MODULES for name in imports(path)}
    names |= {name for path in [*NOTEBOOKS, *CHECKS] for name in imports_of_notebook(path)}
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"course_dl"}
    packages = packages_distributions()
    needed = {normal(packages[name][0]) for name in tops - IF_THERE}
    required = {normal(Requirement(text).name) for part in ("requirements", "export_requirements", "serve_requirements")
                for text in SETTINGS[part].split()}
    assert not needed - required, "imported, but not in settings.ini"
    assert not required - needed - set(FOR_OTHERS), "in settings.ini, but not imported"


def ours(module): return {name.removeprefix("course_dl.") for name in imports(module) if name.startswith("course_dl.")}


def test_imports_run_one_way():
    "No module needs itself by way of others; a lesson builds on earlier lessons, and nothing on answers."
    needs = {dotted(module): ours(module) for module in MODULES}
    TopologicalSorter(needs).prepare()  # raises CycleError
    lessons = list(map(module_name, LESSONS))
    for i, lesson in enumerate(lessons): assert not needs[lesson] & set(lessons[i:]), lesson
    assert not [name for name, used in needs.items() if any(other.startswith("checks") for other in used)]


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_fastai_is_imported_only_where_it_is_needed(module):
    allowed = {"recipes": {"fastai"}}
    used = {name for name in imports(module) if name.split(".")[0] in ("fastai", "torchvision")}
    needed = allowed.get(dotted(module), set())
    assert not {name for name in used if name not in needed and name.split(".")[0] not in needed}
    assert "fastai.vision.all" not in used


def public(module):
    "Exported functions and classes of a module; commands of the command line document their options themselves."
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    exported = ast.literal_eval(assigned["__all__"])
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name not in exported: continue
        if isinstance(node, ast.ClassDef) or not node.decorator_list: yield node


def parameters(node):
    "Of a function, or of what makes an object of a class."
    if isinstance(node, ast.ClassDef):
        made = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        return parameters(made[0])[1:] if made else []
    found = node.args
    return [*found.posonlyargs, *found.args, *found.kwonlyargs, *filter(None, [found.vararg, found.kwarg])]


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_public_functions_document_every_parameter_and_result(module):
    "Each parameter has a comment on its own line, each function a docstring; results are documented unless None."
    with module.open(encoding="utf-8") as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for node in public(module):
        assert ast.get_docstring(node), node.name
        for parameter in parameters(node):
            assert parameter.lineno in commented, f"{node.name}: {parameter.arg} has no comment"
        result = getattr(node, "returns", None)
        if result is not None and ast.unparse(result) != "None":
            assert result.lineno in commented, f"{node.name}: the result has no comment"


def test_lint_makes_no_exception_that_nothing_needs():
    "In pyproject.toml, below the remark: a line goes when its files keep to the rules."
    options = (ROOT/"pyproject.toml").read_text(encoding="utf-8")
    before, _, after = options.partition("# Not held to the rules yet")
    rules = re.findall('^("[^"]+") = (\\[.*?\\])', before.partition("[tool.ruff.lint.per-file-ignores]")[2], re.M)
    table = ", ".join(f"{files}={codes}" for files, codes in rules)
    ruff = which("ruff", path=get_path("scripts"))
    found = subprocess.run([ruff, "check", "--quiet", "--output-format=json", "--config",
                            f"lint.per-file-ignores={{{table}}}"], cwd=ROOT, capture_output=True, text=True)
    bad = {Path(problem["filename"]).relative_to(ROOT) for problem in json.loads(found.stdout)}
    excepted = re.findall('^"([^"]+)" = ', after, re.M)
    assert not [files for files in excepted if not any(path.match(files) for path in bad)], "take these out"


def test_constraints_hold_what_they_were_made_from():
    asked, found = (
        {line.partition(" ;")[0] for line in (ROOT/name).read_text(encoding="utf-8").splitlines() if line[:1].isalpha()}
        for name in ("constraints.in", "constraints.txt"))
    assert asked and asked <= found, "run `make lock`"
    named = {normal(Requirement(line).name) for line in found}
    wanted = " ".join(SETTINGS[name] for name in SETTINGS if name.endswith("requirements")).split()
    assert {normal(Requirement(text).name) for text in wanted} <= named, "run `make lock`"


def test_no_symlink_is_committed():
    "Windows checks one out as a file that holds a path."
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode: pytest.skip("not a clone")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]
