# rowtail: make, make demo, make test; the other targets are listed by `make help`.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/rowtail
PORT ?= 8080
PYTHON ?= /usr/bin/python3
CC ?= cc
VERSION := 0.1.0

BUILD := build
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-unused-parameter $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -DROWTAIL_VERSION='"$(VERSION)"' -Ifcgi
FORTIFY := -D_FORTIFY_SOURCE=2
HARDEN := -fstack-protector-strong $(FORTIFY) -fPIE '-ffile-prefix-map=$(CURDIR)=.'
LDHARDEN := -pie -Wl,-z,relro,-z,now
LIBS := -lfcgi -lsqlite3 -luv -linih -lsodium -lhogweed -lnettle -lgmp -ljansson -pthread
# llhttp: a library (Debian 13), or its sources (Debian 12); without both, rowtail has no --http.
LLHTTP_SOURCES ?= /usr/share/llhttp
ifneq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),)
CPPFLAGS += -DROWTAIL_LLHTTP $(shell pkg-config --cflags libllhttp)
LIBS += $(shell pkg-config --libs libllhttp)
else ifneq ($(wildcard $(LLHTTP_SOURCES)/llhttp.c),)
LLHTTP := api http llhttp
LLHTTP_FLAGS := -DLLHTTP_STRICT_MODE=1 -isystem $(LLHTTP_SOURCES)/../include/llhttp
CPPFLAGS += -DROWTAIL_LLHTTP $(LLHTTP_FLAGS)
LLHTTP_OBJ = $(LLHTTP:%=$(BUILD)/llhttp/%.o)
else
$(warning rowtail is built without --http and --pages: install node-llhttp or libllhttp-dev)
endif
# With -g1 a report has lines, and compiling takes a quarter less than with -g.
SAN := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# rowtail-mirror has all of rowtail but main, its own folder, and libpq; without libpq it is not built.
MIRROR_SRC := $(sort $(wildcard fcgi/mirror/*.c))
# rowtail-doctor has its own folder, some modules of rowtail's, and libcurl; without libcurl it is not built.
DOCTOR_SRC := $(sort $(wildcard fcgi/doctor/*.c))
DOCTOR_PARTS := $(DOCTOR_SRC:fcgi/%.c=%) access/token base/buffer base/clock base/origin base/text base/utf8 base/version
DOCTOR_LIBS = $(LIBCURL_LIBS) -lsqlite3 -lsodium
ifneq ($(shell pkg-config --exists libcurl 2>/dev/null && echo yes),)
DOCTOR := $(BUILD)/rowtail-doctor
LIBCURL_FLAGS := $(shell pkg-config --cflags libcurl)
LIBCURL_LIBS := $(shell pkg-config --libs libcurl)
else
$(warning rowtail-doctor is not built: install libcurl4-openssl-dev)
endif
# rowtail-publish has all of rowtail but main, and its own folder.
PUBLISH_SRC := $(sort $(wildcard fcgi/publish/*.c))
SRC := $(filter-out $(MIRROR_SRC) $(DOCTOR_SRC) $(PUBLISH_SRC),$(sort $(wildcard fcgi/*.c fcgi/*/*.c)))
OBJ := $(SRC:fcgi/%.c=$(BUILD)/obj/%.o)
MIRROR_OBJ := $(filter-out $(BUILD)/obj/main.o,$(OBJ)) $(MIRROR_SRC:fcgi/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/mirror/schema.o
PUBLISH := $(BUILD)/rowtail-publish
PUBLISH_OBJ := $(filter-out $(BUILD)/obj/main.o,$(OBJ)) $(PUBLISH_SRC:fcgi/%.c=$(BUILD)/obj/%.o)
LIBPQ := $(shell pkg-config --exists libpq 2>/dev/null && echo yes)
LIBPQ_FLAGS := $(if $(LIBPQ),$(shell pkg-config --cflags libpq))
ifneq ($(LIBPQ),)
MIRROR := $(BUILD)/rowtail-mirror
else
$(warning rowtail-mirror is not built: install libpq-dev)
endif
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAY := $(FUZZ:%=$(BUILD)/replay/%)
BROWSER := tests/browser/node_modules/.made

TEST_HEADERS := $(wildcard tests/unit/*.h tests/fuzz/*.h)

# Make prints one line for each file; V=1 shows the commands, make -s prints nothing.
V ?= 0
Q := $(if $(filter 0,$(V)),@)
SILENT := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say = $(if $(Q),$(if $(SILENT),,@echo '$(1) $(2)'))

# A test's first lines say what it links: "links: a b" are modules of fcgi/ (base/buffer), "links: everything" all but main,
# "libs: -lx" libraries.
named = $(shell sed -n 's/^.* links: *\([a-z0-9_/ ]*\).*/\1/p' $(1) | head -n 1)
links = $(patsubst %,$(BUILD)/san/%.o,$(if $(filter everything,$(named)),\
	$(filter-out main,$(SRC:fcgi/%.c=%)),$(named)))
llhttp = $(if $(filter everything protocol/http,$(named)),$(LLHTTP_OBJ))
libs = $(shell sed -n 's/^.* libs: *\([-A-Za-z0-9_,= ]*\).*/\1/p' $(1) | head -n 1)

.PHONY: all help classic log-sql deps test test-all unit replay integration servers silence browser browser-chromium endurance \
	bench lint tidy fuzz demo $(SRC:%=tidy/%) $(MIRROR_SRC:%=tidy/%) $(DOCTOR_SRC:%=tidy/%) $(PUBLISH_SRC:%=tidy/%) integration-san \
	integration-valgrind pictures install uninstall clean
.DELETE_ON_ERROR:

## all: build build/rowtail, rowtail-publish, rowtail-mirror and rowtail-doctor; `make` alone does the same (V=1 shows the commands)
all: $(BUILD)/rowtail $(PUBLISH) $(MIRROR) $(DOCTOR)

## help: list every target
help:
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(MAKEFILES_OURS) | awk -F '\t' '{printf "make %-24s %s\n", $$1, $$2}'

## deps: install the Debian packages that building and testing need
deps:
	sh tests/deps.sh build test

# The commit that this directory is at; nothing for an archive, even one that lies in somebody else's repository. Only one
# file has it, so a new commit builds that file again, and links.
COMMIT = $(shell [ -e .git ] && GIT_OPTIONAL_LOCKS=0 git -c 'safe.directory=*' describe --always --dirty --abbrev=12 \
	--exclude='*' 2>/dev/null)
VERSION_OBJ := $(BUILD)/obj/base/version.o $(BUILD)/san/base/version.o
$(BUILD)/commit: FORCE
	@mkdir -p $(@D)
	@commit='$(COMMIT)'; [ -f $@ ] && [ "$$commit" = "$$(cat $@)" ] || echo "$$commit" >$@
FORCE:
$(VERSION_OBJ): $(BUILD)/commit
$(VERSION_OBJ): CPPFLAGS += -DROWTAIL_COMMIT='"$(shell cat $(BUILD)/commit)"'

$(BUILD)/rowtail: $(OBJ) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $(OBJ) $(LLHTTP_OBJ) $(LIBS)

$(BUILD)/rowtail-publish: $(PUBLISH_OBJ) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $(PUBLISH_OBJ) $(LLHTTP_OBJ) $(LIBS)

$(BUILD)/rowtail-publish-san: $(PUBLISH_OBJ:$(BUILD)/obj/%=$(BUILD)/san/%) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/rowtail-mirror: $(MIRROR_OBJ) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $(MIRROR_OBJ) $(LLHTTP_OBJ) $(LIBS) -lpq

$(BUILD)/rowtail-mirror-san: $(MIRROR_OBJ:$(BUILD)/obj/%=$(BUILD)/san/%) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS) -lpq

$(MIRROR_SRC:fcgi/%.c=$(BUILD)/obj/%.o) $(MIRROR_SRC:fcgi/%.c=$(BUILD)/san/%.o): CPPFLAGS += $(LIBPQ_FLAGS)

# rowtail.sql, which makes the copy, as a text in the program.
$(BUILD)/mirror/schema.c: schema/rowtail.sql Makefile
	@mkdir -p $(@D)
	@{ echo '#include "mirror/schema.h"'; echo 'const char mirror_schema[] ='; \
		sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $<; echo ';'; } >$@

$(BUILD)/obj/mirror/schema.o $(BUILD)/san/mirror/schema.o: $(BUILD)/mirror/schema.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) -c -o $@ $<

$(BUILD)/rowtail-doctor: $(DOCTOR_PARTS:%=$(BUILD)/obj/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(DOCTOR_LIBS)

$(BUILD)/rowtail-doctor-san: $(DOCTOR_PARTS:%=$(BUILD)/san/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(DOCTOR_LIBS)

$(DOCTOR_SRC:fcgi/%.c=$(BUILD)/obj/%.o) $(DOCTOR_SRC:fcgi/%.c=$(BUILD)/san/%.o): CPPFLAGS += $(LIBCURL_FLAGS)

# The cures name the files that make install copies to DATADIR.
$(BUILD)/obj/doctor/cure.o $(BUILD)/san/doctor/cure.o: CPPFLAGS += -DROWTAIL_DATADIR='"$(DATADIR)"'

$(BUILD)/llhttp/%.o: $(LLHTTP_SOURCES)/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(LLHTTP_FLAGS) $(HARDEN) $(CFLAGS) -w -c -o $@ $<

$(BUILD)/obj/%.o: fcgi/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/san/%.o: fcgi/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$< (sanitizers))
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -MMD -MP -c -o $@ $<

# The object file contains the script and the style.
$(BUILD)/obj/server/status.o $(BUILD)/san/server/status.o: fcgi/server/status.css fcgi/server/status.js
# With -flto the linker would assemble it, and would not know -I.
$(BUILD)/obj/server/status.o: override CFLAGS += -fno-lto

$(BUILD)/rowtail-san: $(SRC:fcgi/%.c=$(BUILD)/san/%.o) $(LLHTTP_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS)

.SECONDEXPANSION:
$(BUILD)/unit/%: tests/unit/%.c $$(call links,tests/unit/%.c) $$(call llhttp,tests/unit/%.c) $(TEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -o $@ $< $(filter %.o,$^) $(call libs,$<) -lcmocka
# This test includes the torture's sources.
$(BUILD)/unit/test_ledger: $(wildcard tests/torture/*.[ch])

$(BUILD)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $$(call links,tests/fuzz/%.c) $$(call llhttp,tests/fuzz/%.c) \
	$(TEST_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -o $@ $(filter-out %.h,$^) $(call libs,$<)

# All programs run, even after one has failed.
## unit: the unit tests, with sanitizers; UNIT=build/unit/test_buffer for one file
unit: $(UNIT)
	@failed=0; for t in $(UNIT); do echo "== $$t"; $$t || { echo "$$t: FAILED"; failed=1; }; done; exit $$failed

## replay: the fuzzers' corpora
replay: $(REPLAY)
	@set -e; for f in $(FUZZ); do $(BUILD)/replay/$$f tests/fuzz/corpus/$$f; done

# Each suite remembers what failed last. Tests mostly wait, so SIDE_BY_SIDE files run at the same time, if
# python3-pytest-xdist is installed. The tests of one file run one after the other, and share servers.
PYTEST = $(PYTHON) -m pytest -q -o cache_dir=$(CURDIR)/$(BUILD)/pytest/$@
SIDE_BY_SIDE ?= 5
SPREAD = $(if $(filter-out 0,$(SIDE_BY_SIDE)),$(shell $(PYTHON) -c 'import xdist' 2>/dev/null && echo ' -n' $(SIDE_BY_SIDE) --dist loadfile))
INTEGRATION ?= tests/integration
SERVERS ?= tests/servers
## integration: rowtail itself; INTEGRATION=tests/integration/test_rows.py for one file
integration: $(BUILD)/rowtail $(PUBLISH) $(MIRROR) $(DOCTOR) bench-tools
	$(PYTEST) $(SPREAD) --ignore=$(ENDURANCE) $(INTEGRATION)

# Crowds need the whole machine.
ENDURANCE := tests/integration/test_endurance.py
## endurance: crowds of streams
endurance: $(BUILD)/rowtail bench-tools
	$(PYTEST) $(ENDURANCE)

# The same tests with a program that checks its own memory. They take too long for make test.
## integration-san: the integration tests of a program with sanitizers
integration-san: $(BUILD)/rowtail-san $(PUBLISH)-san $(MIRROR:%=%-san) $(DOCTOR:%=%-san) bench-tools
	PUBLISH_BIN=$(PUBLISH)-san ROWTAIL_BIN=$(BUILD)/rowtail-san MIRROR_BIN=$(BUILD)/rowtail-mirror-san DOCTOR_BIN=$(BUILD)/rowtail-doctor-san \
		$(PYTEST) tests/integration

## integration-valgrind: the integration tests under Valgrind
integration-valgrind: $(BUILD)/rowtail bench-tools
	ROWTAIL_BIN=tests/lib/valgrind.sh TEST_PATIENCE=10 $(PYTEST) tests/integration

# Ninety seconds without a row. No other test should have to wait for them.
SILENCE := tests/servers/test_silence.py
## servers: every web server of deploy/; SERVERS=tests/servers/test_apache.py for one file
servers: $(BUILD)/rowtail $(PUBLISH) $(DOCTOR) $(BROWSER)
	$(PYTEST) $(SPREAD) --ignore=$(SILENCE) $(SERVERS)

## silence: streams through every web server stay open without a row
silence: $(BUILD)/rowtail
	$(PYTEST) $(SILENCE)

$(BROWSER): tests/browser/package.json tests/browser/package-lock.json
	cd tests/browser && npm ci --no-audit --no-fund
	@touch $@

BROWSER_TESTS ?=
NODE_TEST = cd tests/browser && node --test --test-reporter=tap $(if $(BROWSER_TESTS),,$(TWO_FILES)) $(BROWSER_TESTS)
# By itself Node.js runs one file at a time on two cores.
TWO_FILES = $(shell node --help | grep -q -e --test-concurrency && echo --test-concurrency=2)
## browser: Chromium and the event-stream clients of npm; BROWSER_TESTS=demo.test.mjs for one file
browser: $(BUILD)/rowtail $(BROWSER)
	$(NODE_TEST)

## browser-chromium: the same in Chromium with its windows; browser uses Debian's chromium-headless-shell
browser-chromium: $(BUILD)/rowtail $(BROWSER)
	CHROMIUM=/usr/bin/chromium; export CHROMIUM; $(NODE_TEST)

# Leaves out what is between the comments "grants {" and "}".
## log-sql: make schema/log.sql, the log without grants, from rowtail.sql
log-sql: schema/log.sql
schema/log.sql: schema/rowtail.sql
	@{ echo "-- log.sql: rowtail's event log without the table grants, for a database in which the application has a table"; \
	echo "-- grants of its own. Made from rowtail.sql by 'make log-sql'."; \
	sed -e 1d -e '/^\t*-- grants {$$/,/^\t*-- }$$/d' -e "s/'rowtail\.sql/'log.sql/" -e 's/db < rowtail\.sql/db < log.sql/' \
		-e 's/a table events or grants of its own/a table events of its own/' $<; } >$@

# A classic script has no `export`; the rest is the same.
## classic: make deploy/browser/rowtail.classic.js from rowtail.js
classic: deploy/browser/rowtail.classic.js
deploy/browser/rowtail.classic.js: deploy/browser/rowtail.js
	@{ echo "// Made from rowtail.js by 'make classic'."; echo '(() => {'; \
		sed 's/^export //' $<; echo 'globalThis.Rowtail = Rowtail;'; echo '})();'; } >$@

# Look at both before you commit them.
## pictures: take new screenshots of the demo page and the status page, in deploy/pictures
pictures: $(BUILD)/rowtail $(BROWSER)
	cd tests/browser && PICTURES=1 node --test pictures.test.mjs status.test.mjs

# Compiles the tests to bytecode. Otherwise each process would do that, since they all start together.
$(BUILD)/pycache/.made: $(wildcard tests/conftest.py tests/*/*.py)
	@mkdir -p $(@D)
	$(call say,PYTHON,$(@D))
	$(Q)for suite in integration servers; do $(PYTHON) -m pytest -q --collect-only -p no:cacheprovider tests/$$suite >/dev/null || exit 1; done
	@touch $@

# Builds first what the parts share, since they run at the same time.
## test: every part, in ten minutes; the summary says what is left out
## test-all: every part in full; takes hours
test test-all:
	sh tests/deps.sh build test
	$(MAKE) -j$(shell nproc) all portable bench-tools torture-tools $(FAULTS) $(SQLITES) $(BROWSER) $(UNIT) $(REPLAY) \
		$(BUILD)/pycache/.made
	$(PYTHON) tests/lib/nodejs.py
	@MAKE='$(MAKE)' $(PYTHON) tests/all.py $(if $(filter test-all,$@),--all)

## demo: a live page on http://127.0.0.1:8080/; PORT=N for another port
demo:
	@sh tests/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@exec env PORT=$(PORT) sh deploy/demo/demo.sh

# What is found stays in build/fuzz.
FUZZ_SECONDS ?= 60
$(BUILD)/fuzz/%: tests/fuzz/%.c $(LLHTTP_OBJ) $(wildcard fcgi/*.c fcgi/*/*.[ch])
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)clang -std=c11 $(CPPFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $@ $< $(patsubst $(BUILD)/san/%.o,fcgi/%.c,$(call links,$<)) $(call llhttp,$<) $(call libs,$<)

## fuzz: coverage-guided, FUZZ_SECONDS=60 for each target
fuzz: $(FUZZ:%=$(BUILD)/fuzz/%)
	@set -e; for f in $(FUZZ); do echo "== $$f"; mkdir -p $(BUILD)/fuzz/found/$$f; \
		cd $(BUILD)/fuzz; ./$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=crash-$$f- found/$$f ../../tests/fuzz/corpus/$$f; cd ../..; done

LINT_C := $(wildcard fcgi/*.c fcgi/*/*.[ch] tests/unit/*.c tests/unit/*.h tests/fuzz/*.c tests/fuzz/*.h \
	tests/bench/*.c tests/bench/*.h tests/torture/*.c tests/torture/*.h tests/faults/*.c tests/faults/*.h \
	schema/examples/*.c deploy/packaging/*.c)
LINT_SH := $(shell grep -lrE '^\#!/bin/(ba)?sh|^\#!/usr/bin/env bash' --include='*' .ci deploy tests schema \
	2>/dev/null | grep -v -e node_modules -e __pycache__)
BANNED := sprintf|vsprintf|strcpy|strcat|strncpy|strncat|atoi|atol|gets|strtok
## lint: the floors, clang-format, 100 columns, cppcheck, shellcheck, mandoc, no banned function, make help is complete
lint:
	$(PYTHON) tests/lint/floors.py
	clang-format --dry-run --Werror $(LINT_C)
	$(PYTHON) tests/lint/columns.py $(LINT_C)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --error-exitcode=1 -Ifcgi \
		--suppress=unknownMacro:fcgi/stream/groups.c --suppress=unknownMacro:fcgi/base/tally.c -DROWTAIL_VERSION='"x"' fcgi
	shellcheck $(LINT_SH)
	mandoc -Tlint -W warning fcgi/rowtail.8 fcgi/rowtail.5 fcgi/rowtail-mirror.8 fcgi/rowtail-publish.8 fcgi/rowtail-doctor.1
	@! grep -nE '(^|[^A-Za-z0-9_])($(BANNED)) *\(' $(SRC) $(MIRROR_SRC) $(DOCTOR_SRC) $(PUBLISH_SRC) || { echo 'lint: a banned function'; exit 1; }
	$(PYTHON) tests/lint/targets.py

## tidy: clang-tidy, which takes minutes
tidy: $(SRC:%=tidy/%) $(PUBLISH_SRC:%=tidy/%) $(MIRROR_SRC:%=tidy/%) $(DOCTOR_SRC:%=tidy/%)

tidy/%: %
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- -std=c11 $(CPPFLAGS) $(LIBPQ_FLAGS) $(LIBCURL_FLAGS) 2>/dev/null

# systemd reads units below /usr/local/lib too.
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
COMPLETIONSDIR ?= $(PREFIX)/share/bash-completion/completions
INSTALLED = BINDIR MANDIR DATADIR UNITDIR SYSUSERSDIR TMPFILESDIR COMPLETIONSDIR

# The script takes the directories from its environment, so that they may have spaces.
install uninstall: export DESTDIR := $(DESTDIR)
$(foreach name,$(INSTALLED),$(eval install uninstall: export $(name) := $$($(name))))

## install: programs, manuals, units, completion, schema and deploy/ below PREFIX=/usr/local
install: $(BUILD)/rowtail $(PUBLISH) $(MIRROR) $(DOCTOR)
	$(Q)sh deploy/packaging/install.sh install $(BUILD)

## uninstall: remove what make install has installed
uninstall:
	$(Q)sh deploy/packaging/install.sh uninstall $(BUILD)

# The chroots take minutes to make. make releases-clean removes them.
## clean: remove build/, but not the chroots of make test-releases
clean:
	[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name releases -exec rm -rf {} +

MAKEFILES_OURS := Makefile $(sort $(wildcard deploy/packaging/*.mk tests/*/*.mk))
include deploy/packaging/kit.mk
include deploy/packaging/deb.mk
include tests/bench/bench.mk
include tests/torture/torture.mk
include tests/builds/builds.mk
include tests/faults/faults.mk
include tests/sqlite/sqlite.mk
include tests/releases/releases.mk
-include $(sort $(patsubst %.o,%.d,$(OBJ) $(MIRROR_OBJ) $(PUBLISH_OBJ) $(DOCTOR_PARTS:%=$(BUILD)/obj/%.o))) \
	$(wildcard $(BUILD)/san/*.d $(BUILD)/san/*/*.d $(BUILD)/builds/musl/obj/*/*.d)
