# torture: make torture kills and breaks everything for MINUTES, and counts what got lost; see
# tests/torture/torture.py. torture-mirror does so with PostgreSQL and two machines. make test runs short ones.

MINUTES ?= 60
SEED ?=
TORTURE_CFLAGS := -std=c11 -Itests/bench $(CPPFLAGS) $(WARN) $(CFLAGS)
TORTURE_SRC := tests/torture
TORTURE_HEADERS := $(wildcard $(TORTURE_SRC)/*.h tests/bench/*.h)
TORTURE_CLIENTS := $(addprefix $(TORTURE_SRC)/,clients.c ledger.c row.c seen.c) \
	$(addprefix tests/bench/,answer.c target.c address.c)

.PHONY: torture torture-short torture-mirror torture-mirror-short torture-tools

$(BUILD)/torture/clients: $(TORTURE_CLIENTS) $(TORTURE_HEADERS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(TORTURE_CFLAGS) -o $@ $(TORTURE_CLIENTS)

$(BUILD)/torture/writer: $(TORTURE_SRC)/writer.c $(TORTURE_SRC)/row.c $(TORTURE_HEADERS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(TORTURE_CFLAGS) -o $@ $(filter %.c,$^) -lsqlite3

$(BUILD)/torture/clock.so: $(TORTURE_SRC)/clock.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(TORTURE_CFLAGS) -fPIC -shared -o $@ $< -ldl

## torture-tools: the programs of the torture
torture-tools: $(BUILD)/torture/clients $(BUILD)/torture/writer $(BUILD)/torture/clock.so

## torture: MINUTES=60 of killing, moving, pruning, restoring; counts what got lost; SEED=N repeats one
torture: $(BUILD)/rowtail torture-tools
	$(PYTHON) $(TORTURE_SRC)/torture.py --build $(BUILD) --minutes $(MINUTES) $(SEED:%=--seed %)

## torture-short: 42 seconds of torture
torture-short: $(BUILD)/rowtail torture-tools
	$(PYTHON) $(TORTURE_SRC)/torture.py --build $(BUILD) --minutes 0.7 $(SEED:%=--seed %)

## torture-mirror: MINUTES=60 of failures of PostgreSQL, mirrors and machines, clients that change machines; SEED=N repeats one
torture-mirror: $(BUILD)/rowtail $(MIRROR) torture-tools
	$(PYTHON) $(TORTURE_SRC)/torture_mirror.py --build $(BUILD) --minutes $(MINUTES) $(SEED:%=--seed %)

## torture-mirror-short: half a minute of torture-mirror
torture-mirror-short: $(BUILD)/rowtail $(MIRROR) torture-tools
	$(PYTHON) $(TORTURE_SRC)/torture_mirror.py --build $(BUILD) --minutes 0.5 --bulk 10000 $(SEED:%=--seed %)
