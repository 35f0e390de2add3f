# A program for mimalloc's interface, compiled as C and as C++ against the installed headers and the archive.
API_WARN = -Wall -Wextra -Werror -pedantic -O2 -g -Icbits/include
API_DEPS = test/c/api/api.c test/c/api/signatures.h cbits/include/mimalloc.h cbits/include/mimalloc-stats.h \
           $(BUILD)/libmimalloc.a
SUITES += api-c11 api-cxx11 api-cxx17

$(T)/api-c11: $(API_DEPS)
	@mkdir -p $(@D)
	@$(CC) -std=c11 $(API_WARN) $< $(BUILD)/libmimalloc.a -pthread -o $@
$(T)/api-cxx11 $(T)/api-cxx17: $(T)/api-cxx%: $(API_DEPS)
	@mkdir -p $(@D)
	@$(CXX) -std=c++$* $(API_WARN) -x c++ $< -x none $(BUILD)/libmimalloc.a -pthread -o $@
