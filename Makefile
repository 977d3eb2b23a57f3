# Everything runs in .venv, made on first use. `make run` and `make test` are all you need.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY ?= passive

.PHONY: env run test lab student notebooks bench docs quarto site hooks clean

run: env ## run every lesson, show the table of results, build the site
	@$(BIN)/course_dl run
	@$(BIN)/course_dl results
	@$(MAKE) -s docs
	@echo "Every lesson ran. Next: make lab opens them at nbs/index.ipynb."

test: env ## run every notebook as a test, then the tests of the package
	$(BIN)/nbdev_test --do_print
	$(BIN)/pytest tests

lab: env ## open JupyterLab at the first page
	$(BIN)/jupyter lab nbs/index.ipynb

student: env ## write copies of the lessons to work in, solved ones beside them
	$(BIN)/course_dl student student

notebooks: env ## run the notebooks on real data, slow cells too, and store their outputs
	$(BIN)/nbdev_export && $(BIN)/course_dl run --slow --store $(LESSON)
	$(BIN)/nbdev_clean && $(BIN)/python tools/readme.py

bench: env ## measure speed against the usual ways; QUICK=1 takes minutes less and only prints
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

docs: _docs/index.html ## turn the notebooks and their stored outputs into a site, in _docs
	@echo "The site is at $(CURDIR)/_docs/index.html"

_docs/index.html: $(shell find nbs course_dl docs *.md benchmarks/README.md settings.ini _quarto.yml -type f ! -path '*/.*' ! -name '*.pyc') | env
	@rm -rf build/site
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs -d build/site/doctrees . build/site/html
	@rm -rf _docs && mv build/site/html _docs

quarto: env ## the same pages by nbdev's own route, for those who have Quarto, in build/quarto/_docs
	$(BIN)/python -m docs.quarto

site: docs ## serve the site on http://localhost:8000
	$(BIN)/python -m http.server -d _docs 8000

hooks: env ## let git keep notebooks clean: on commit, on merge
	$(BIN)/nbdev_install_hooks
	git config merge.nbdev-merge.driver "$(BIN)/nbdev_merge %O %A %B %P"
	printf '#!/bin/sh\n$(BIN)/nbdev_trust\n' > .git/hooks/post-merge
	ln -sf ../../.githooks/pre-commit .git/hooks/pre-commit

env: .venv/ready ## make .venv with the package and its tools

.venv/ready: settings.ini setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	@touch $@

clean: ## remove what was made, but no notebook and no data
	rm -rf .venv _docs _proc build dist *.egg-info
