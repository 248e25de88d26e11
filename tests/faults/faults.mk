# faults: objects for LD_PRELOAD that make files and memory fail, clocks jump, and libuv
# strict; see the comments of their sources.

FAULTS := $(BUILD)/faults/vfs.so $(BUILD)/faults/memory.so $(BUILD)/faults/pieces.so \
	$(BUILD)/faults/handles.so $(BUILD)/faults/clocks.so
FAULTS_LIBS_vfs := -lsqlite3
FAULTS_LIBS_handles := -luv

$(BUILD)/faults/%.so: tests/faults/%.c tests/faults/plan.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=c11 $(CPPFLAGS) $(WARN) $(CFLAGS) -fno-builtin -fPIC -shared -o $@ $< \
		$(FAULTS_LIBS_$*) -ldl

.PHONY: faults
## faults: the objects that make files, memory and clocks fail
faults: $(FAULTS)

integration: $(FAULTS)
