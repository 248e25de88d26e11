# make portable: one static executable, which runs on any Linux of this architecture; see deploy/packaging/README.md.
# make kit: the archive that a person without a shell uploads to a shared host.

PORTABLE := $(BUILD)/portable
PORTABLE_LIBS = $(filter-out -luv,$(LIBS)) $(shell pkg-config --static --libs libuv-static) -lm
# A warning of the linker here says that something would be loaded at run time.
comma := ,
PORTABLE_ABSENT := dlopen dlsym dlclose dlerror getpwuid_r getgrgid_r gethostbyname getaddrinfo freeaddrinfo
PORTABLE_LD := -static-pie -s -Wl,-z,relro,-z,now -Wl,--fatal-warnings $(addprefix -Wl$(comma)--wrap$(comma),$(PORTABLE_ABSENT))

.PHONY: portable portable-test portable-integration portable-servers kit

## portable: one static executable, which runs on any Linux of this architecture
portable: $(PORTABLE)/rowtail $(PORTABLE)/rowtail-publish

$(PORTABLE)/absent.o: deploy/packaging/absent.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(HARDEN) $(CFLAGS) -c -o $@ $<

# The map names the archives whose licences the kit needs.
$(PORTABLE)/rowtail: $(OBJ) $(LLHTTP_OBJ) $(PORTABLE)/absent.o deploy/packaging/kit.mk
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PORTABLE_LD) -Wl,-Map=$(PORTABLE)/rowtail.map -o $@ \
		$(OBJ) $(LLHTTP_OBJ) $(PORTABLE)/absent.o $(PORTABLE_LIBS)

$(PORTABLE)/rowtail-publish: $(PUBLISH_OBJ) $(LLHTTP_OBJ) $(PORTABLE)/absent.o deploy/packaging/kit.mk
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(PORTABLE_LD) -o $@ $(PUBLISH_OBJ) $(LLHTTP_OBJ) $(PORTABLE)/absent.o $(PORTABLE_LIBS)

KIT_NAME = rowtail-$(VERSION)-linux-$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
## kit: the archive that a person without a shell uploads to a shared host
kit: portable
	sh deploy/packaging/kit.sh $(PORTABLE)/rowtail $(KIT_NAME) $(BUILD)/$(KIT_NAME).tar.gz
	@echo $(BUILD)/$(KIT_NAME).tar.gz

# All of tests/portable, and those tests of the other suites that depend on the libraries, which are linked statically
# here. make test-all runs these suites whole.
PORTABLE_TESTS ?= tests/portable $(addprefix tests/integration/test_,cgi.py fastcgi.py retention.py jwt.py http.py)
## portable-test: the static executable and the archive
portable-test: portable bench-tools
	ROWTAIL_BIN=$(PORTABLE)/rowtail $(PYTEST) $(SPREAD) $(PORTABLE_TESTS)

## portable-integration: the integration tests of the static executable
portable-integration: portable bench-tools
	ROWTAIL_BIN=$(PORTABLE)/rowtail $(PYTEST) $(SPREAD) --ignore=$(ENDURANCE) tests/integration

## portable-servers: every web server with the static executable
portable-servers: portable $(BROWSER)
	ROWTAIL_BIN=$(PORTABLE)/rowtail $(PYTEST) $(SPREAD) --ignore=$(SILENCE) tests/servers
