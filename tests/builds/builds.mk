# builds: make builds compiles and links everything with other compilers and options, every warning an error. The modules
# that include no outside library are also built against musl, with the fuzzers' corpora that need nothing else.
#
# Each build has a directory of its own below build/builds.

# clang's warnings do not depend on -O, but <stdio.h> and others check more with any -O but -O0.
BUILDS := gcc-O0 gcc-O3-lto $(if $(TEST_FULL),clang-O0 clang-O2,clang-O1)
OPTIONS_gcc-O0 := CC=gcc CFLAGS=-O0 FORTIFY=
OPTIONS_gcc-O3-lto := CC=gcc CFLAGS='-O3 -flto=auto' $(if $(TEST_FULL),,LTO_LARGEST=yes)
OPTIONS_clang-O0 := CC=clang CFLAGS=-O0 FORTIFY=
OPTIONS_clang-O1 := CC=clang CFLAGS=-O1
OPTIONS_clang-O2 := CC=clang CFLAGS=-O2
TOOLS := bench-tools torture-tools faults

.PHONY: builds $(BUILDS:%=builds-%) builds-musl builds-largest

## builds: gcc with -O0 and -O3 -flto, clang with -O1, and musl; every warning is an error
builds: $(BUILDS:%=builds-%) builds-musl

$(BUILDS:%=builds-%): builds-%:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/builds/$* $(OPTIONS_$*) WERROR=-Werror \
		$(if $(findstring LTO_LARGEST,$(OPTIONS_$*)),builds-largest,all) $(TOOLS)

# Each link with -flto optimizes all modules again. rowtail-mirror has all of them but a few: those are optimized as they are
# compiled. With TEST_FULL=1 every program is linked.
builds-largest: $(or $(MIRROR),$(BUILD)/rowtail) $(DOCTOR) $(OBJ) $(PUBLISH_OBJ)
ifdef LTO_LARGEST
$(BUILD)/obj/main.o $(PUBLISH_SRC:fcgi/%.c=$(BUILD)/obj/%.o): override CFLAGS += -fno-lto
endif

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
