# Real programs and two of our own with the library preloaded; see test/c/preload/run. Included by
# test/c/tests.mk.

PRELOAD_preload           = programs
PRELOAD_preload-compilers = gcc gxx
PRELOAD_preload-python    = python_tests
PRELOADS = preload preload-compilers preload-python

SUITES += $(PRELOADS)
$(PRELOADS:%=$(T)/%): $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a test/c/preload/preload.mk
	@mkdir -p $(@D)
	@printf '#!/bin/sh\n[ $$# -gt 0 ] || set -- %s\nexec test/c/preload/run "$$@"\n' '$(PRELOAD_$(@F))' >$@
	@chmod +x $@

# The checking and the hard library: without the longest ones, which are there for what they print.
define PRELOAD_RULES
SUITES += preload-$(1)
$(T)/preload-$(1): $(T)/lib/$(1)/libmimalloc.so $(T)/lib/$(1)/libmimalloc.a test/c/preload/preload.mk
	@mkdir -p $$(@D)
	@printf '#!/bin/sh\n[ $$$$# -gt 0 ] || set -- %s\nLIBMIMALLOC=%s WORK=%s exec test/c/preload/run "$$$$@"\n' \
	  'replaced operators own_operators late misuse glibc own_names python redis' '$$(abspath $$<)' \
	  '$$(abspath $$(<D))/preload' >$$@
	@chmod +x $$@
endef
$(foreach v,$(LIB_VARIANTS),$(eval $(call PRELOAD_RULES,$(v))))

test-preload: $(PRELOADS:%=$(T)/%)
	@bad=0; for s in $(PRELOADS); do tools/suite $$s $(T)/$$s || bad=1; done; exit $$bad
.PHONY: test-preload
