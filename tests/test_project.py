"The project is whole: notebooks, modules, links, README and settings agree."
import ast
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml
from conftest import CHECKS, NOTEBOOKS, ROOT, SETTINGS, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

MODULES = sorted(o for o in (ROOT/"course_dl").rglob("*.py") if not o.stem.startswith("_"))
LESSON_OF = {found[1]: (o in CHECKS, o.stem) for o in [*NOTEBOOKS, *CHECKS]  # in order: checks come after all lessons
             if (found := re.search(r"^#\| default_exp ([\w.]+)", "\n".join(c.source for c in read(o).cells), re.M))}
TEXTS = [*NOTEBOOKS, *CHECKS, *sorted(ROOT.glob("*.md")), ROOT/"benchmarks/README.md"]


def copy_project(folder):
    "A copy of what nbdev works on, so that the tests change nothing here."
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("nbs", "course_dl"): shutil.copytree(ROOT/name, folder/name, symlinks=True, ignore=ignore)
    for name in ("settings.ini", "_quarto.yml", "README.md"): shutil.copy(ROOT/name, folder/name)


def nbdev(command, folder): subprocess.run([sys.executable, "-c", f"from nbdev.{command}"], cwd=folder, check=True, capture_output=True)


def content(folder): return {o.relative_to(folder): o.read_text(encoding="utf-8") for o in folder.rglob("*") if o.suffix in (".py", ".ipynb")}


def test_modules_are_what_the_notebooks_export(tmp_path):
    copy_project(tmp_path)
    for o in (tmp_path/"course_dl").glob("[!_]*.py"): o.unlink()
    nbdev("doclinks import nbdev_export; nbdev_export()", tmp_path)
    assert content(tmp_path/"course_dl") == content(ROOT/"course_dl")


def test_notebooks_are_clean(tmp_path):
    copy_project(tmp_path)
    nbdev("clean import nbdev_clean; nbdev_clean()", tmp_path)
    assert content(tmp_path/"nbs") == content(ROOT/"nbs")


def test_notebook_has_outputs_and_no_errors(notebook):
    outputs = [o for c in read(notebook).cells if c.cell_type == "code" for o in c.outputs]
    assert outputs, "run `make notebooks`"
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_notebook_says_what_its_outputs_were_made_with(notebook):
    "When, on what device, from which data, and with the versions that constraints.txt pins."
    made = read(notebook).metadata.get("last_run", {})
    assert set(made) == {"date", "torch", "fastai", "data", "device"}, "run `make notebooks`"
    assert re.match(r"\d{4}-\d\d-\d\d", made["date"]) and made["device"]
    assert {f"{o}=={made[o]}" for o in ("torch", "fastai")} <= set((ROOT/"constraints.txt").read_text(encoding="utf-8").split())


def test_outputs_come_from_real_data_and_name_no_folder_of_a_machine(notebook):
    text = "".join(o.get("text", "") + "".join(str(v) for k, v in o.get("data", {}).items() if not k.startswith("image/"))
                   for c in read(notebook).cells if c.cell_type == "code" for o in c.outputs)
    assert "embedded sample (1,797 digits); figures differ" not in text
    assert not re.search(r"/(home|root|Users|work)/\w", text)


def test_every_picture_has_a_text(notebook):
    for c in read(notebook).cells:
        if c.cell_type == "code" and any("image/png" in o.get("data", {}) for o in c.outputs):
            assert re.search(r"^#\| fig-alt: \S.{20,}", c.source, re.M), f"no fig-alt: {c.source[:80]}"
        if c.cell_type == "markdown": assert not re.search(r"!\[\s*\]\(", c.source), "an image without a text"


def test_notebook_uses_markdown_every_viewer_draws(notebook):
    for c in read(notebook).cells:
        if c.cell_type != "markdown": continue
        assert not re.search(r"^:::", c.source, re.M)
        text = re.sub(r"```.*?```|`[^`]*`", "", c.source, flags=re.S)
        assert set(re.findall(r"</?(\w+)[^<>]*>", text)) <= {"details", "summary"}


def test_headings_are_in_order(notebook):
    text = "\n".join(re.sub(r"```.*?```", "", c.source, flags=re.S) for c in read(notebook).cells if c.cell_type == "markdown")
    levels = [len(o) for o in re.findall(r"^(#+) ", text, re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a+1 for a, b in zip(levels, levels[1:]))


def links(path):
    "Link targets in a notebook or a Markdown file, code left out."
    text = "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown") if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S))


def anchors(path):
    headings = re.findall(r"^#+ (.+)$", "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown"), re.M)
    return {re.sub(r"[^\w\- ]", "", o.lower()).strip().replace(" ", "-") for o in headings} | {o.strip().replace(" ", "-") for o in headings}


@pytest.mark.parametrize("path", TEXTS, ids=lambda o: o.stem)
def test_links_point_at_something(path):
    "Relative links exist; links to our own repository name files of it, under the user that settings.ini names."
    git_url = f"https://github.com/{SETTINGS['user']}/{SETTINGS['repo']}"
    for link in links(path):
        if own := re.match(r"https://(?:colab\.research\.google\.com/github|github\.com)/([\w.-]+/course_dl)(?:/(?:blob|tree)/main/(.*)|/actions/workflows/([\w.]+)(?:/badge\.svg)?|)$", link):
            assert f"https://github.com/{own[1]}" == git_url, f"{link} is not under {git_url}"
            if own[2]: assert (ROOT/own[2]).exists(), link
            if own[3]: assert (ROOT/".github/workflows"/own[3]).exists(), link
        elif not re.match(r"\w+:", link):
            target, _, anchor = link.partition("#")
            place = (path.parent/target).resolve() if target else path
            assert place.exists() and place.is_relative_to(ROOT), f"{path.name} links to {link}"
            if anchor and place.suffix == ".ipynb": assert anchor in anchors(place), f"{path.name} links to {link}"


def test_each_notebook_has_its_own_colab_badge(notebook):
    if notebook.stem == "index": return
    badge = f"https://colab.research.google.com/github/{SETTINGS['user']}/{SETTINGS['repo']}/blob/main/{notebook.relative_to(ROOT).as_posix()}"
    assert badge in read(notebook).cells[1].source
    assert f"git+https://github.com/{SETTINGS['user']}/{SETTINGS['repo']}" in "".join(c.source for c in read(notebook).cells[2:4])


def test_readme_is_what_the_index_generates():
    sys.path.insert(0, str(ROOT/"tools"))
    from readme import readme
    assert (ROOT/"README.md").read_text(encoding="utf-8") == readme()


def test_readme_has_every_lesson_and_command():
    text = (ROOT/"README.md").read_text(encoding="utf-8")
    assert all(o.name in text for o in NOTEBOOKS)
    assert all(o in text for o in ("make run", "make test", "make lab", "make student", "make env", "make notebooks", "make docs", "make bench", "make site"))


def pages(o):
    "Notebooks named in a part of `_quarto.yml`."
    if isinstance(o, str): return [o]
    return [page for part in (o.get("contents", []) if isinstance(o, dict) else o) for page in pages(part)]


def test_site_lists_every_notebook_once(folder=ROOT):
    site = yaml.safe_load((folder/"_quarto.yml").read_text(encoding="utf-8"))
    assert sorted(pages(site["website"]["sidebar"])) == sorted(o.name for o in (folder/"nbs").glob("*.ipynb"))  # the answers are linked from their lessons
    assert (folder/"nbs/_quarto.yml").resolve() == folder/"_quarto.yml"


def test_a_broken_project_is_found(tmp_path):
    "A notebook that the site does not list, links to nothing, pictures without a text."
    copy_project(tmp_path)
    test_site_lists_every_notebook_once(tmp_path)
    broken = tmp_path/"nbs"/"99_broken.ipynb"
    for cell, test in [
        (new_markdown_cell("[a](no.ipynb)"), test_links_point_at_something),
        (new_markdown_cell("[a](#no)"), test_links_point_at_something),
        (new_markdown_cell("[a](https://github.com/someone/course_dl)"), test_links_point_at_something),
        (new_markdown_cell("![](a.png)"), test_every_picture_has_a_text),
        (new_code_cell("plot()", outputs=[new_output("display_data", {"image/png": ""})]), test_every_picture_has_a_text),
    ]:
        nbformat.write(new_notebook(cells=[cell]), broken)
        with pytest.raises(AssertionError): test(broken)
    with pytest.raises(AssertionError): test_site_lists_every_notebook_once(tmp_path)


def dotted(module): return ".".join(module.relative_to(ROOT/"course_dl").with_suffix("").parts)


def imports(module):
    "Modules a module of ours imports, at the top or inside a function."
    package = ["course_dl", *dotted(module).split(".")[:-1]]
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import): yield from (o.name for o in node.names)
        if isinstance(node, ast.ImportFrom): yield ".".join([*package[:len(package)+1-node.level], node.module]) if node.level else node.module


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_imports_run_in_lesson_order(module):
    ours = {o.removeprefix("course_dl.") for o in imports(module) if o.startswith("course_dl.")}
    assert all(LESSON_OF[o] < LESSON_OF[dotted(module)] for o in ours)


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_fastai_is_imported_only_where_it_is_needed(module):
    needed = {"results"}
    used = {o for o in imports(module) if o.split(".")[0] in ("fastai", "torchvision")}
    assert not used or module.stem in needed, used
    assert "torchvision" not in used and "fastai.vision.all" not in used


@pytest.mark.parametrize("module", MODULES, ids=dotted)
def test_public_functions_document_every_parameter_and_result(module):
    "Each parameter has a comment on its own line, each function a docstring; results are documented unless None."
    source = module.read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join(source))
    exported = next(ast.literal_eval(o.value) for o in tree.body if isinstance(o, ast.Assign) and o.targets[0].id == "__all__")
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name not in exported or node.decorator_list: continue
        assert ast.get_docstring(node), node.name
        for arg in [*node.args.args, *node.args.kwonlyargs, *filter(None, [node.args.vararg, node.args.kwarg])]:
            assert "#" in source[arg.lineno-1], f"{node.name}: {arg.arg} has no comment"
        if node.returns is not None and not (isinstance(node.returns, ast.Constant) and node.returns.value is None):
            assert "#" in source[node.returns.lineno-1], f"{node.name}: the result has no comment"


def test_settings_pin_what_the_design_needs():
    constraints = (ROOT/"constraints.txt").read_text(encoding="utf-8")
    assert "torch==2.13.0\n" in constraints and "torchvision==0.28.0\n" in constraints
    assert "pkg_resources" not in (ROOT/"setup.py").read_text(encoding="utf-8")
