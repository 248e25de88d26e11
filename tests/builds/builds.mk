# builds: make builds compiles and links everything with other compilers and options, every warning an error. The modules
# that include no outside library are also built against musl, with the fuzzers' corpora that need nothing else.
#
# Each build has a directory of its own below build/builds.

# clang's warnings do not depend on -O: with -O0 it has none that it does not have with -O2.
BUILDS := gcc-O0 gcc-O3-lto clang-O2 $(if $(TEST_FULL),clang-O0)
OPTIONS_gcc-O0 := CC=gcc CFLAGS=-O0 FORTIFY=
OPTIONS_gcc-O3-lto := CC=gcc CFLAGS='-O3 -flto=auto'
OPTIONS_clang-O0 := CC=clang CFLAGS=-O0 FORTIFY=
OPTIONS_clang-O2 := CC=clang CFLAGS=-O2
TOOLS := bench-tools torture-tools faults

.PHONY: builds $(BUILDS:%=builds-%) builds-musl

## builds: gcc and clang with -O0, -O2, -O3 -flto, and musl; every warning is an error
builds: $(BUILDS:%=builds-%) builds-musl

$(BUILDS:%=builds-%): builds-%:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/builds/$* $(OPTIONS_$*) WERROR=-Werror all $(TOOLS)

# The optimizer is the same in all C libraries: -O0. <fastcgi.h> (numbers), uthash and the kernel's headers need no library.
MUSL := $(BUILD)/builds/musl
MUSL_HEADERS := /usr/include/fastcgi.h /usr/include/uthash.h /usr/include/linux /usr/include/asm-generic \
	$(firstword $(wildcard /usr/include/*-linux-gnu/asm))
MUSL_SRC = $(shell grep -LE '^.include <(fcgiapp|sqlite3|uv|ini|sodium|llhttp|jansson|gmp|nettle/[a-z0-9-]*)\.h>' $(SRC))
MUSL_OBJ = $(MUSL_SRC:fcgi/%.c=$(MUSL)/obj/%.o)
MUSL_REPLAY := fuzz_form fuzz_record

$(MUSL)/include:
	@mkdir -p $@
	@ln -sf $(MUSL_HEADERS) $@

$(MUSL)/obj/%.o: fcgi/%.c Makefile | $(MUSL)/include
	@mkdir -p $(@D)
	$(call say,CC,$< (musl))
	$(Q)musl-gcc -std=c11 $(CPPFLAGS) -isystem $(MUSL)/include $(WARN) -Werror -O0 -MMD -MP -c -o $@ $<

$(MUSL)/%: tests/fuzz/%.c tests/fuzz/replay.c $$(subst $(BUILD)/san,$(MUSL)/obj,$$(call links,tests/fuzz/%.c)) $(TEST_HEADERS)
	$(call say,LINK,$@)
	$(Q)musl-gcc -std=c11 $(CPPFLAGS) -isystem $(MUSL)/include $(WARN) -Werror -O0 -o $@ $(filter-out %.h,$^)

builds-musl: $$(MUSL_OBJ) $(MUSL_REPLAY:%=$(MUSL)/%)
	@set -e; for f in $(MUSL_REPLAY); do $(MUSL)/$$f tests/fuzz/corpus/$$f; done
