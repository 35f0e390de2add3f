# Whole programs that the library is put into (test/c/process/run). Included by test/c/tests.mk.
SUITES += process
$(T)/process: test/c/process/run $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nBUILD=%s exec test/c/process/run "$$@"\n' '$(abspath $(BUILD))' >$@ && chmod +x $@
