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

.PHONY: bench bench-peers bench-plots bench-tools bench-test

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
	$(PYTHON) tests/bench/plots.py --build $(BUILD) $(if $(BENCH),$(if $(filter quick,$(BENCH)),quick,bench),\
		--to deploy/pictures bench)

tests/bench/node_modules/.package-lock.json: tests/bench/package.json tests/bench/package-lock.json
	cd tests/bench && npm ci --no-audit --no-fund
	@touch $@

## bench-peers: the same load on nchan, Pushpin, better-sse and PHP-FPM; BENCH=quick, BENCH=1000, BENCH=catchup
bench-peers: $(BUILD)/rowtail bench-tools tests/bench/node_modules/.package-lock.json
	$(PYTHON) tests/bench/peers.py --build $(BUILD) $(BENCH)
	$(PYTHON) tests/bench/plots.py --build $(BUILD) $(if $(BENCH),$(if $(filter quick,$(BENCH)),peers-quick,peers),\
		--to deploy/pictures peers)

# After parts were measured one by one: BENCH=crowd, then BENCH=replay.
## bench-plots: draw the plots in deploy/pictures from what was measured last
bench-plots:
	$(PYTHON) tests/bench/plots.py --build $(BUILD) --to deploy/pictures bench peers

## bench-test: BENCH=quick prints every figure; asserts no time
bench-test: $(BUILD)/rowtail portable bench-tools
	$(PYTEST) tests/bench
