# Every name that the libraries import, each with its reason: test/c/imports/list. Included by
# test/c/tests.mk.
SUITES += imports
$(T)/imports: test/c/imports/run test/c/imports/list $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec test/c/imports/run %s\n' $(BUILD) >$@ && chmod +x $@
