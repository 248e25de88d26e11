# releases: make test-releases builds and tests rowtail in chroots of Debian's releases; see tests/releases/releases.py.
# make clean keeps the chroots, since they take minutes to make.

RELEASES ?= bullseye bookworm trixie sid
RELEASE ?= trixie
COMPILERS ?= gcc clang
SUITES ?= build unit replay integration servers packages
TESTS ?=
RELEASES_CACHE ?= $(BUILD)/releases
RELEASES_RUN := $(PYTHON) tests/releases/releases.py --cache $(RELEASES_CACHE)

.PHONY: test-releases test-releases-ci releases-shell releases-clean

# The chroots have no network, and take SQLite's shells from here.
test-releases test-releases-ci: $(SQLITES)

## test-releases: build, unit, replay, integration, servers, packages in chroots of RELEASES="bullseye bookworm trixie sid" (root)
test-releases:
	$(RELEASES_RUN) --compilers '$(COMPILERS)' --suites '$(SUITES)' --tests '$(TESTS)' $(RELEASES)

# In today's stable release; nice, since it runs beside other parts.
## test-releases-ci: the part of test-releases that make test runs
test-releases-ci:
	nice $(RELEASES_RUN) --ci --compilers gcc --suites 'build integration servers' $(RELEASE)

## releases-shell: RELEASE=trixie, a shell in one of the chroots
releases-shell:
	@$(RELEASES_RUN) --shell $(RELEASE)

## releases-clean: remove the chroots
releases-clean:
	rm -rf $(RELEASES_CACHE)
