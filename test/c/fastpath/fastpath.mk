# How many instructions the fast paths take; see test/c/fastpath/run. Included by test/c/tests.mk.

SUITES += fastpath
$(T)/fastpath: $(BUILD)/libmimalloc.so
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec test/c/fastpath/run %s\n' $< >$@ && chmod +x $@

test-fastpath: $(T)/fastpath
	@tools/suite fastpath $<
.PHONY: test-fastpath
