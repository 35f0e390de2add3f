# What `make install` installs, used by the programs of test/c/api. Included by test/c/tests.mk.
SUITES += install
$(T)/install: test/c/install/run $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec test/c/install/run %s\n' $(BUILD) >$@ && chmod +x $@
