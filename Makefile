# Everything runs in .venv, made on first use. `make run` and `make test` are all you need; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
MIN_PYTHON = $(shell sed -n 's/^min_python = //p' settings.ini)
export OMP_WAIT_POLICY ?= passive

.PHONY: help env run test lint lab student notebooks renumber translations bench ladder mutants docs quarto book slides \
	site lock hooks clean

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: env ## run every lesson, show the table of results, build the site
	@$(BIN)/course_dl run
	@$(BIN)/course_dl results
	@$(MAKE) -s docs
	@echo "Every lesson ran. Next: make lab opens them at nbs/index.ipynb."

test: export COURSE_DL_LANGUAGE = en
# notebooks and tests run side by side, each on one thread
test: export OMP_NUM_THREADS = 1
test: lint ## run every notebook as a test, then the tests of the package; SLOW=1 runs what is slow too
	$(BIN)/nbdev_test --do_print $(if $(SLOW),--flags slow)
	$(BIN)/pytest $(if $(SLOW),-m "")

lint: env ## look for unused names, long lines and the like
	$(BIN)/ruff check

lab: env ## open JupyterLab at the first page, with the whole repository in reach
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/nbs/index.ipynb

student: env ## write copies of the lessons to work in, solved ones beside them
	$(BIN)/course_dl student student

notebooks: env ## run the notebooks on real data, slow cells too, and store their outputs
	$(BIN)/nbdev_export && $(BIN)/python -c "from course_dl.figures import make_weights; make_weights()"
	$(BIN)/python tools/store.py $(LESSON)
	$(BIN)/nbdev_clean && $(BIN)/python tools/minutes.py && $(BIN)/python tools/readme.py

renumber: env ## number the lessons in the order of _quarto.yml, and mend every link to them
	$(BIN)/python tools/renumber.py && $(BIN)/nbdev_export

translations: env ## bring the catalogs of other languages up to date, and list what waits for a translator
	$(BIN)/python -m tools.translations

bench: env ## measure speed against the usual ways; QUICK=1 takes minutes less and only prints
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

ladder: env ## measure what each change adds to accuracy, where a run is missing; an interruption costs one run
	$(BIN)/python benchmarks/ladder.py

mutants: env ## plant mistakes at random and see what notices them; N=200 for more, SEED=1 for others
	$(BIN)/python tools/mutants.py -n $(or $(N),60) --seed $(or $(SEED),0)

docs: _docs/index.html ## turn the notebooks and their stored outputs into a site, in _docs
	@echo "The site is at $(CURDIR)/_docs/index.html"

SPHINX = $(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs
LANGUAGES = $(notdir $(wildcard course_dl/locale/*))

_docs/index.html: $(shell find nbs course_dl docs $(wildcard _book _slides) *.md benchmarks/README.md settings.ini _quarto.yml -type f ! -path '*/.*' ! -name '*.pyc') | env
	@rm -rf build/site
	COURSE_DL_LANGUAGE=en $(SPHINX) -d build/site/doctrees . build/site/html
	$(foreach language,$(LANGUAGES),COURSE_DL_LANGUAGE=$(language) $(SPHINX) -d build/site/doctrees-$(language) \
		. build/site/$(language) && mv build/site/$(language) build/site/html &&) true
	@rm -rf _docs && mv build/site/html _docs

quarto: env ## the same pages by nbdev's own route, for those who have Quarto, in build/quarto/_docs
	$(BIN)/python -m docs.quarto

book: env ## the lessons as a book in _book: an EPUB, and where there is Chromium a PDF
	$(BIN)/python -m docs.book.make

slides: env ## slides of lessons in _slides/slides, each a file that needs nothing else; press s for the notes
	$(BIN)/python -m docs.slides.make $(LESSON)

site: docs ## serve the site on http://localhost:8000
	$(BIN)/python -m http.server -d _docs 8000

lock: env ## write constraints.txt from settings.ini and constraints.in; UPGRADE=1 takes the newest versions
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile setup.py --extra dev --universal --python-version $(MIN_PYTHON) --constraints constraints.in \
		--output-file constraints.txt --no-annotate --custom-compile-command "make lock" -q $(if $(UPGRADE),--upgrade)

hooks: env ## let git check and clean what is committed, and merge notebooks cell by cell
	git config core.hooksPath .githooks
	git config merge.nbdev-merge.driver "$(BIN)/nbdev_merge %O %A %B %P"

env: .venv/ready ## make .venv with the package and its tools

.venv/ready: settings.ini setup.py pyproject.toml constraints.txt
	@echo "Installing the course and its tools into .venv: some 2 GB on disk, more with CUDA; a few minutes, once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e ".[dev]"
	@touch $@

clean: ## remove what was made, but no notebook and no data
	rm -rf .venv _docs _book _slides _proc build dist *.egg-info .pytest_cache .ruff_cache
