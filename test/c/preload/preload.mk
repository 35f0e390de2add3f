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

test-preload: $(PRELOADS:%=$(T)/%)
	@bad=0; for s in $(PRELOADS); do tools/suite $$s $(T)/$$s || bad=1; done; exit $$bad
.PHONY: test-preload
