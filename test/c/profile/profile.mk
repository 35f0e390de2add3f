# Profiles of whole programs, and what pprof makes of them; see test/c/profile/run. Included by
# test/c/tests.mk.
SUITES += profile
$(T)/profile: test/c/profile/run $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a test/c/profile/profile.mk
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nBUILD=%s exec test/c/profile/run "$$@"\n' '$(abspath $(BUILD))' >$@ && chmod +x $@
