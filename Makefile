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
	-Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-unused-parameter
CPPFLAGS += -D_GNU_SOURCE -DROWTAIL_VERSION='"$(VERSION)"' -Ifcgi
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LDHARDEN := -pie -Wl,-z,relro,-z,now
LIBS := -lfcgi -lsqlite3 -luv -linih -lsodium -ljwt -ljansson
SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SRC := $(sort $(wildcard fcgi/*.c))
OBJ := $(SRC:fcgi/%.c=$(BUILD)/obj/%.o)
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAY := $(FUZZ:%=$(BUILD)/replay/%)

# A test's first lines say what it links: "links: a b" are modules of fcgi/, "libs: -lx" libraries.
links = $(patsubst %,$(BUILD)/san/%.o,$(shell sed -n 's/^.* links: *\([a-z0-9_ ]*\).*/\1/p' $(1) | head -n 1))
libs = $(shell sed -n 's/^.* libs: *\([-a-z0-9_ ]*\).*/\1/p' $(1) | head -n 1)

.PHONY: all help deps test unit replay integration servers browser bench torture lint fuzz demo \
	install uninstall clean
.DELETE_ON_ERROR:

all: $(BUILD)/rowtail

help:
	@echo 'make             build $(BUILD)/rowtail (after make deps)'
	@echo 'make deps        install the Debian packages that building and testing need'
	@echo 'make demo        a live page on http://127.0.0.1:$(PORT)/'
	@echo 'make test        everything: unit, replay, integration, servers, browser'
	@echo 'make unit replay integration servers browser    each part alone'
	@echo 'make bench lint fuzz torture install uninstall clean'

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
$(BUILD)/unit/%: tests/unit/%.c $$(call links,tests/unit/%.c)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) -Itests $(WARN) $(SAN) -o $@ $^ $(call libs,$<) -lcmocka

$(BUILD)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $$(call links,tests/fuzz/%.c)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(SAN) -o $@ $^ $(call libs,$<)

unit: $(UNIT)
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done

replay: $(REPLAY)
	@set -e; for f in $(FUZZ); do $(BUILD)/replay/$$f tests/fuzz/corpus/$$f; done

-include $(OBJ:.o=.d) $(wildcard $(BUILD)/san/*.d)
