# Whole programs that the library is put into (test/c/process/run): as it ships, and the checking and the hard
# one. Included by test/c/tests.mk.
define PROCESS_RULES
SUITES += process$(1)
$(T)/process$(1): test/c/process/run $(2)/libmimalloc.so $(2)/libmimalloc.a test/c/process/process.mk
	@mkdir -p $$(@D)
	@printf '#!/bin/sh\nBUILD=%s exec test/c/process/run "$$$$@"\n' '$$(abspath $(2))' >$$@ && chmod +x $$@
endef
$(eval $(call PROCESS_RULES,,$(BUILD)))
$(foreach v,$(LIB_VARIANTS),$(eval $(call PROCESS_RULES,-$(v),$(T)/lib/$(v))))
