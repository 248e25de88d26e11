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
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE '-ffile-prefix-map=$(CURDIR)=.'
LDHARDEN := -pie -Wl,-z,relro,-z,now
LIBS := -lfcgi -lsqlite3 -luv -linih -lsodium -lhogweed -lnettle -lgmp -ljansson
SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SRC := $(sort $(wildcard fcgi/*.c fcgi/*/*.c))
OBJ := $(SRC:fcgi/%.c=$(BUILD)/obj/%.o)
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAY := $(FUZZ:%=$(BUILD)/replay/%)
BROWSER := tests/browser/node_modules/.made

TEST_HEADERS := $(wildcard tests/unit/*.h tests/fuzz/*.h)

# A test's first lines say what it links: "links: a b" are modules of fcgi/ (base/buffer), "links: everything" all but main,
# "libs: -lx" libraries.
named = $(shell sed -n 's/^.* links: *\([a-z0-9_/ ]*\).*/\1/p' $(1) | head -n 1)
links = $(patsubst %,$(BUILD)/san/%.o,$(if $(filter everything,$(named)),\
	$(filter-out main,$(SRC:fcgi/%.c=%)),$(named)))
libs = $(shell sed -n 's/^.* libs: *\([-A-Za-z0-9_,= ]*\).*/\1/p' $(1) | head -n 1)

# The names with -again are make test's own.
.PHONY: endurance endurance-again integration-again servers-again browser-again unit-again replay-again torture-short-again
.PHONY: integration-san integration-valgrind pictures
.PHONY: all help deps test unit replay integration servers browser bench lint fuzz demo \
	install uninstall clean
.DELETE_ON_ERROR:

all: $(BUILD)/rowtail

help:
	@echo 'make             build $(BUILD)/rowtail (after make deps)'
	@echo 'make deps        install the Debian packages that building and testing need'
	@echo 'make demo        a live page on http://127.0.0.1:$(PORT)/'
	@echo 'make portable kit     $(BUILD)/portable/rowtail, one static program; the archive for a shared host'
	@echo 'make test        everything: unit, replay, integration, servers, a short torture, browser, Debian 13'
	@echo 'make torture     MINUTES=60 of killing and breaking; counts what got lost'
	@echo 'make unit replay integration endurance servers browser    each part alone'
	@echo 'make test-releases    the same in chroots of $(RELEASES) (root)'
	@echo 'make releases-shell RELEASE=sid    a shell in one of them'
	@echo 'make pictures    the screenshots of the demo page anew, in deploy/pictures'
	@echo 'make bench lint fuzz install uninstall clean releases-clean'

deps:
	sh tests/deps.sh build test

$(BUILD)/rowtail: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $(OBJ) $(LIBS)

$(BUILD)/obj/%.o: fcgi/%.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/san/%.o: fcgi/%.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -MMD -MP -c -o $@ $<

$(BUILD)/rowtail-san: $(SRC:fcgi/%.c=$(BUILD)/san/%.o)
	$(CC) $(SAN) -o $@ $^ $(LIBS)

.SECONDEXPANSION:
$(BUILD)/unit/%: tests/unit/%.c $$(call links,tests/unit/%.c) $(TEST_HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -o $@ $(filter-out %.h,$^) $(call libs,$<) -lcmocka

$(BUILD)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $$(call links,tests/fuzz/%.c) $(TEST_HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -o $@ $(filter-out %.h,$^) $(call libs,$<)

unit: $(UNIT)
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done

replay: $(REPLAY)
	@set -e; for f in $(FUZZ); do $(BUILD)/replay/$$f tests/fuzz/corpus/$$f; done

# What failed last is remembered for each suite by itself.
PYTEST = $(PYTHON) -m pytest -q -o cache_dir=$(CURDIR)/$(BUILD)/pytest/$(@:-again=)
INTEGRATION ?= tests/integration
SERVERS ?= tests/servers
integration: $(BUILD)/rowtail bench-tools
	$(PYTEST) --ignore=$(ENDURANCE) $(INTEGRATION)

# Crowds, which want the machine for themselves.
ENDURANCE := tests/integration/test_endurance.py
endurance: $(BUILD)/rowtail bench-tools
	$(PYTEST) $(ENDURANCE)

# The same tests, of a program that looks at its own memory; not part of make test, for their time.
integration-san: $(BUILD)/rowtail-san bench-tools
	ROWTAIL_BIN=$(BUILD)/rowtail-san $(PYTEST) tests/integration

integration-valgrind: $(BUILD)/rowtail bench-tools
	ROWTAIL_BIN=tests/lib/valgrind.sh TEST_PATIENCE=10 $(PYTEST) tests/integration

servers: $(BUILD)/rowtail $(BROWSER)
	$(PYTEST) $(SERVERS)

# Only those that failed last time: on a busy machine a deadline may pass. make test says so.
integration-again servers-again:
	$(PYTEST) --lf --lfnf=none tests/$(@:-again=)
endurance-again:
	$(PYTEST) --lf --lfnf=none $(ENDURANCE)
browser-again: browser
unit-again: unit
replay-again: replay
# What it finds is found, however seldom.
torture-short-again:
	@false

$(BROWSER): tests/browser/package.json tests/browser/package-lock.json
	cd tests/browser && npm ci --no-audit --no-fund
	@touch $@

browser: $(BUILD)/rowtail $(BROWSER)
	cd tests/browser && node --test

# Look at both before you commit them.
pictures: $(BUILD)/rowtail $(BROWSER)
	cd tests/browser && PICTURES=1 node --test pictures.test.mjs

# What the parts share is built before, since they run side by side.
test:
	sh tests/deps.sh build test
	$(MAKE) all portable bench-tools torture-tools $(FAULTS) $(SQLITES) $(BROWSER)
	@MAKE='$(MAKE)' sh tests/all.sh

demo:
	@sh tests/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@PORT=$(PORT) sh deploy/demo/demo.sh

# Coverage-guided, so many seconds for each target; what is found stays in build/fuzz.
FUZZ_SECONDS ?= 60
$(BUILD)/fuzz/%: tests/fuzz/%.c $(wildcard fcgi/*.c fcgi/*/*.[ch])
	@mkdir -p $(@D)
	clang -std=c11 $(CPPFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $@ $< $(patsubst $(BUILD)/san/%.o,fcgi/%.c,$(call links,$<)) $(call libs,$<)

fuzz: $(FUZZ:%=$(BUILD)/fuzz/%)
	@set -e; for f in $(FUZZ); do echo "== $$f"; mkdir -p $(BUILD)/fuzz/found/$$f; \
		cd $(BUILD)/fuzz; ./$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=crash-$$f- found/$$f ../../tests/fuzz/corpus/$$f; cd ../..; done

LINT_C := $(wildcard fcgi/*.c fcgi/*/*.[ch] tests/unit/*.c tests/unit/*.h tests/fuzz/*.c tests/fuzz/*.h \
	tests/bench/*.c tests/bench/*.h tests/torture/*.c tests/torture/*.h tests/faults/*.c tests/faults/*.h \
	schema/examples/*.c kit/*.c)
LINT_SH := $(shell grep -lrE '^\#!/bin/(ba)?sh|^\#!/usr/bin/env bash' --include='*' .ci deploy kit tests schema \
	2>/dev/null | grep -v -e node_modules -e __pycache__)
BANNED := sprintf|vsprintf|strcpy|strcat|strncpy|strncat|atoi|atol|gets|strtok
lint:
	$(PYTHON) tests/lint/floors.py
	clang-format --dry-run --Werror $(LINT_C)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --error-exitcode=1 -Ifcgi \
		--suppress=unknownMacro:fcgi/stream/groups.c --suppress=unknownMacro:fcgi/base/tally.c -DROWTAIL_VERSION='"x"' fcgi
	@set -e; for f in $(SRC); do clang-tidy --quiet $$f -- -std=c11 $(CPPFLAGS) 2>/dev/null; done
	shellcheck $(LINT_SH)
	mandoc -Tlint -W warning fcgi/rowtail.8
	@! grep -nwE '($(BANNED)) *\(' $(SRC) || { echo 'lint: a banned function'; exit 1; }

install: $(BUILD)/rowtail
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DATADIR)
	install -m 755 $(BUILD)/rowtail $(DESTDIR)$(BINDIR)/rowtail
	install -m 644 fcgi/rowtail.8 $(DESTDIR)$(MANDIR)/man8/rowtail.8
	cp -R schema $(DESTDIR)$(DATADIR)/
	cp -R deploy $(DESTDIR)$(DATADIR)/
	install -m 644 deploy/rowtail-down.asis deploy/rowtail-down.shtml $(DESTDIR)$(DATADIR)/

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/rowtail $(DESTDIR)$(MANDIR)/man8/rowtail.8
	rm -rf $(DESTDIR)$(DATADIR)

# The chroots take minutes to make: they go with make releases-clean.
clean:
	[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name releases -exec rm -rf {} +

include kit/kit.mk
include tests/bench/bench.mk
include tests/torture/torture.mk
include tests/faults/faults.mk
include tests/sqlite/sqlite.mk
include tests/releases/releases.mk
-include $(OBJ:.o=.d) $(wildcard $(BUILD)/san/*.d $(BUILD)/san/*/*.d)
