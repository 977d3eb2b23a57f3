"Build the package from settings.ini, which holds every name, version and requirement."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

cfg = ConfigParser()
cfg.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
cfg = cfg["DEFAULT"]
name = cfg["lib_name"]
lessons = f"{name}.lessons"

setup(
    name=name, version=cfg["version"], description=cfg["description"], keywords=cfg["keywords"],
    author=cfg["author"], author_email=cfg["author_email"], url=cfg["git_url"], license="Apache-2.0",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Education",
                 "Natural Language :: English", "Programming Language :: Python :: 3",
                 "Topic :: Scientific/Engineering :: Artificial Intelligence"],
    # The notebooks travel in the wheel as course_dl/lessons, so that `course_dl run` works outside the repository.
    packages=[name, f"{name}.checks", lessons], package_dir={name: cfg["lib_path"], lessons: cfg["nbs_path"]},
    package_data={lessons: ["*.ipynb", "*.json", "images/*.png"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(), extras_require={"dev": cfg["dev_requirements"].split()},
    entry_points={"console_scripts": cfg["console_scripts"].split(), "nbdev": [f"{name}={name}._modidx:d"]},
)
