# Real programs and two of our own with the library preloaded; see test/c/preload/run. Included by test/c/tests.mk.

SUITES += preload preload-python
$(T)/preload $(T)/preload-python: $(BUILD)/libmimalloc.so
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec test/c/preload/run "$${@:-%s}"\n' $(if $(findstring python,$@),python_tests,programs) >$@ && chmod +x $@

test-preload: $(T)/preload $(T)/preload-python
	@tools/suite preload $(T)/preload; tools/suite preload-python $(T)/preload-python
.PHONY: test-preload
