"Build the package from settings.ini, which holds every name, version and requirement."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
cfg = ConfigParser()
cfg.read(ROOT/"settings.ini", encoding="utf-8")
cfg = cfg["DEFAULT"]
name = cfg["lib_name"]
lessons = f"{name}.lessons"
extras = {extra: cfg[f"{extra}_requirements"].split() for extra in ("export", "serve")}
dev = cfg["dev_requirements"].split()
git_url, branch = cfg["git_url"], cfg["branch"]


def absolute(link:re.Match) -> str:
    "A link to a file of the repository, for readers elsewhere."
    kind = "raw" if link[1].endswith((".png", ".svg")) else "blob"
    return f"]({git_url}/{kind}/{branch}/{link[1]})"


setup(
    name=name, version=cfg["version"], description=cfg["description"], keywords=cfg["keywords"],
    author=cfg["author"], author_email=cfg["author_email"], url=git_url, license="Apache-2.0",
    project_urls={"Site": cfg["doc_host"] + cfg["doc_baseurl"], "Issues": f"{git_url}/issues",
                  "Changes": f"{git_url}/blob/{branch}/CHANGELOG.md"},
    long_description=re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", absolute, (ROOT/"README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Education", "Natural Language :: English",
                 "Framework :: Jupyter", "Operating System :: OS Independent", "Programming Language :: Python :: 3",
                 *[f"Programming Language :: Python :: {python}" for python in cfg["pythons"].split()],
                 "Topic :: Education", "Topic :: Scientific/Engineering :: Artificial Intelligence"],
    # The notebooks travel in the wheel as course_dl/lessons, so that `course_dl run` works outside the repository.
    packages=[name, f"{name}.checks", lessons], package_dir={name: cfg["lib_path"], lessons: cfg["nbs_path"]},
    package_data={name: ["figures.js", "weights/*.safetensors", "locale/*/LC_MESSAGES/*.mo"],
                  lessons: ["*.ipynb", "*.json", "*.mplstyle", "images/*.png"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(), extras_require={**extras, "dev": sum(extras.values(), dev)},
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": [f"{name}={name}._modidx:d"]},
)
