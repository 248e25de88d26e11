# bench: make bench prints a table; make bench BENCH=quick takes less than a minute.
# Another word picks the figures whose names contain it: make bench BENCH="quick replay".

BENCH ?=
BENCH_CFLAGS := -std=c11 $(CPPFLAGS) $(WARN) $(CFLAGS)
BENCH_SRC := tests/bench
BENCH_HEADERS := $(wildcard $(BENCH_SRC)/*.h) fcgi/protocol/record.h
BENCH_LOAD := $(addprefix $(BENCH_SRC)/,load.c target.c address.c answer.c follow.c payload.c \
	histogram.c)
BENCH_FLOOR := $(addprefix $(BENCH_SRC)/,floor.c address.c payload.c) fcgi/protocol/record.c
BENCH_PUBLISH := $(addprefix $(BENCH_SRC)/,publish.c post.c address.c payload.c histogram.c)

.PHONY: bench bench-tools

$(BUILD)/bench/load: $(BENCH_LOAD) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(BENCH_CFLAGS) -o $@ $(BENCH_LOAD)

$(BUILD)/bench/floor: $(BENCH_FLOOR) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(BENCH_CFLAGS) -o $@ $(BENCH_FLOOR)

$(BUILD)/bench/publish: $(BENCH_PUBLISH) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(BENCH_CFLAGS) -o $@ $(BENCH_PUBLISH) -lsqlite3

## bench-tools: the load generator and the other programs of the bench
bench-tools: $(BUILD)/bench/load $(BUILD)/bench/floor $(BUILD)/bench/publish

## bench: figures, as ratios to floors measured in the same run; BENCH=quick, BENCH=crowd, BENCH=shared-host
bench: $(BUILD)/rowtail portable bench-tools
	$(PYTHON) tests/bench/run.py --build $(BUILD) $(BENCH)
