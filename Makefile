# ropewalk: build, test, lint, bench, install. Variants live in folders of their own under build/:
#   make [VARIANT=release|debug|asan|cov|fuzz] [ARCH=native|x86-64|…] [WERROR=1] [V=1]
# `make help` lists the targets.

PROG    := ropewalk
VERSION := 0.1.0
VARIANT ?= release
ARCH    ?= native
PREFIX  ?= /usr/local
DESTDIR ?=
B       := build/$(VARIANT)
# Lowest layer first; a layer may use those before it (tools/check_layers).
LAYERS  := base models datasets reports harness

PACKAGES := openblas sqlite3 jansson libpcre2-8 libutf8proc yaml-0.1 libcrypto libcurl zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
$(if $(PKG_LIBS),,$(info Libraries are missing: `make deps` installs them, or names them.))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings \
        -Wcast-qual -Wformat=2 -Wpointer-arith -Wundef -Wdouble-promotion
SANITIZE := address,undefined
OPT_release := -O3 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g3 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
OPT_cov     := -O0 -g3 --coverage -fprofile-update=atomic
OPT_fuzz    := $(OPT_asan) -fsanitize=fuzzer-no-link
# The fuzzers run one thread; clang has no OpenMP library of its own everywhere.
OPENMP := $(if $(filter fuzz,$(VARIANT)),-Wno-unknown-pragmas,-fopenmp)
# Contraction is stated, since the default depends on -std: multiply-adds are fused in the kernels below and nowhere else, so
# that the same source gives the same bits. NaN must stay visible, so never -ffast-math.
MATH  := -fno-math-errno -fno-trapping-math -ffp-contract=off
TUNE  := $(OPT_$(VARIANT)) $(MATH) -march=$(ARCH) $(OPENMP) $(CFLAGS)
STD   := -std=c17 -D_DEFAULT_SOURCE -D_XOPEN_SOURCE=700 -I. $(PKG_CFLAGS)
ALLC   = $(STD) $(WARN) $(if $(WERROR),-Werror) $(TUNE) -fno-common -MMD -MP
LIBS   = $(PKG_LIBS) -lm -pthread $(LDLIBS)
Q     := $(if $(V),,@)

# One source for several vector widths; the program takes the widest that the machine has, whatever ARCH says.
ifeq ($(shell uname -m),x86_64)
$(B)/models/kernel_path_avx512.o: TUNE += -march=x86-64-v4 -mprefer-vector-width=512 -ffp-contract=fast
$(B)/models/kernel_path_avx512bf16.o: TUNE += -march=x86-64-v4 -mavx512bf16 -mprefer-vector-width=512 -ffp-contract=fast
$(B)/models/kernel_path_avx2.o:   TUNE += -march=x86-64-v3 -ffp-contract=fast
endif

# What the binary says of itself. Outside a git checkout of this project the constant above stands.
COMMIT := $(if $(wildcard .git),$(shell git describe --always --dirty --tags 2>/dev/null))
BUILD_VERSION := $(VERSION)$(if $(COMMIT), ($(COMMIT)))
BUILD_FLAGS   := $(strip $(TUNE))

sources = $(filter-out harness/main.c,$(wildcard $(1)/*.c $(1)/*/*.c))
objects = $(patsubst %.c,$(B)/%.o,$(call sources,$(1))) $(patsubst %,$(B)/%.o,$(wildcard $(1)/*.css $(1)/*.sql))
archive = $(B)/lib$(1).a
# Archives of the named layers, highest first, as a linker wants them.
archives = $(foreach l,harness reports datasets models base,$(if $(filter $(l),$(1)),$(call archive,$(l))))

all: $(B)/$(PROG) ## build the program (the default)

# One archive a layer: a link that names only the layers a program may use makes a forbidden call fail to link.
define archive_rule
$(1): $(2)
	@rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive_rule,$(call archive,$(l)),$(call objects,$(l)))))

$(B)/$(PROG): $(B)/harness/main.o $(call archives,$(LAYERS))
	@echo "  link $@"
	$(Q)$(CC) $(ALLC) -o $@ $^ $(LIBS)

# The layers that each test program links.
include tests/uses.mk
TEST_HELPERS := tests/test_util.c $(filter-out tests/test_%.c,$(wildcard tests/*.c))
TEST_ARCHIVE := $(B)/tests/libhelpers.a
TESTS := $(patsubst %.c,$(B)/%,$(filter-out $(TEST_HELPERS),$(wildcard tests/test_*.c)))
FUZZ  := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN := $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer,$(B)/tests/fuzz/driver.o)
CLI_TESTS := $(wildcard tests/cli/*.sh)

$(eval $(call archive_rule,$(TEST_ARCHIVE),$(TEST_HELPERS:%.c=$(B)/%.o)))

.SECONDEXPANSION:
$(TESTS): $(B)/tests/%: $(B)/tests/%.o $(TEST_ARCHIVE) $$(call archives,$$(USES_$$*))
	@echo "  link $@"
	$(Q)$(CC) $(ALLC) -o $@ $^ -lcmocka -lssl $(LIBS)

$(FUZZ): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(filter %.o,$(FUZZ_MAIN)) $$(call archives,$$(USES_$$*))
	@echo "  link $@"
	$(Q)$(CC) $(ALLC) $(filter-out %.o,$(FUZZ_MAIN)) -o $@ $^ $(LIBS)

# The server that shell tests measure a model behind.
TEST_SERVER := $(B)/tests/data/server_main
$(TEST_SERVER): $(B)/tests/data/server_main.o $(TEST_ARCHIVE) $(call archives,models base)
	@echo "  link $@"
	$(Q)$(CC) $(ALLC) -o $@ $^ -lssl $(LIBS)

$(B)/tools/bench: $(B)/tools/bench.o $(call archives,models base)
	@echo "  link $@"
	$(Q)$(CC) $(ALLC) -o $@ $^ $(LIBS)

# Stamps change only when their text does, so that a new commit rebuilds one file and new flags rebuild all.
define stamp_rule
$(1): FORCE
	@mkdir -p $$(@D)
	@echo '$(2)' | cmp -s - $$@ || echo '$(2)' > $$@
endef
$(eval $(call stamp_rule,$(B)/flags.stamp,$(CC) $(STD) $(BUILD_FLAGS)))
$(eval $(call stamp_rule,$(B)/version.stamp,$(BUILD_VERSION)))

quoted = '"$(subst ",\",$(1))"'
$(B)/harness/version.o: $(B)/version.stamp
$(B)/harness/version.o: private STD += -DBUILD_VERSION=$(call quoted,$(BUILD_VERSION)) -DBUILD_FLAGS=$(call quoted,$(BUILD_FLAGS))

$(B)/%.o: %.c $(B)/flags.stamp
	@mkdir -p $(@D)
	@echo "  cc   $<"
	$(Q)$(CC) $(ALLC) -c -o $@ $<
$(B)/%.css.o: %.css
	@mkdir -p $(@D)
	$(Q)$(LD) -r -b binary -z noexecstack -o $@ $<
$(B)/%.sql.o: %.sql
	@mkdir -p $(@D)
	$(Q)$(LD) -r -b binary -z noexecstack -o $@ $<

# What a person calls.

# Libraries are looked for when this file is read, so what follows `deps` is another make, on all cores unless told how many.
AGAIN = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

deps: ## find the libraries; install them with apt-get where that is possible
	@CC='$(CC)' tools/deps $(PACKAGES)

deps-pages: ## the browser of the tests that look at pages
	@tools/deps --pages

demo: deps ## sweep λ on the shipped model and write the report
	@$(AGAIN) all
	@tools/demo $(B)/$(PROG) demo

walker: deps ## train the shipped model anew from its recipe, and measure it
	@$(AGAIN) all
	@tools/walker $(B)/$(PROG) build/walker

tune: deps ## train the shipped model on under five settings: the tables of docs/training.md
	@$(AGAIN) all
	@tools/tune $(B)/$(PROG)

test: deps ## build and run every test
	@$(AGAIN) -k test-programs; \
	 BUILD_STATUS=$$? tools/run_tests $(B)/$(PROG) tools/check_layers $(TESTS) $(FUZZ) $(CLI_TESTS)

test-asan: deps ## the same programs under the address and undefined-behaviour sanitizers
	@$(AGAIN) -k VARIANT=asan test-programs; \
	 BUILD_STATUS=$$? $(MAKE) --no-print-directory VARIANT=asan run-asan

test-programs: all $(TESTS) $(FUZZ) $(TEST_SERVER)

# The leak check stops the traced process, which some containers forbid.
run-asan:
	@mkdir -p $(B)
	@echo 'int main(void) { return 0; }' | $(CC) -fsanitize=address -xc -o $(B)/leak_probe -
	@leaks=0; if $(B)/leak_probe 2>/dev/null; then leaks=1; else echo "ptrace is forbidden: no leak check"; fi; \
	 ASAN_OPTIONS=detect_leaks=$$leaks:$$ASAN_OPTIONS TEST_TIMEOUT_S=3600 tools/run_tests $(B)/$(PROG) $(TESTS) $(FUZZ)

fuzz-replay: $(FUZZ) ## run the fuzz targets over their saved inputs
	@tools/run_tests $(B)/$(PROG) $(FUZZ)

FUZZ_SECONDS ?= 60
fuzz: deps ## look for new inputs that break a reader (clang; FUZZ_SECONDS a target)
	@$(AGAIN) VARIANT=fuzz CC=clang fuzz-programs
	@tools/fuzz build/fuzz $(FUZZ_SECONDS) $(notdir $(FUZZ))
fuzz-programs: $(FUZZ)

C_FILES := $(wildcard $(foreach f,$(LAYERS) tests tools,$(f)/*.[ch] $(f)/*/*.[ch]))
lint: check-layers ## clang-format and clang-tidy over all files
	@tools/lint "$(STD) $(OPENMP)" $(C_FILES)

format: ## let clang-format lay out all files
	@echo $(C_FILES) | xargs -n 1 clang-format -i

check-layers: ## who may include and do what
	@tools/check_layers

cov: deps ## lines that the tests run, by layer
	@rm -rf build/cov
	@$(AGAIN) -k VARIANT=cov test-programs; \
	 BUILD_STATUS=$$? tools/run_tests build/cov/$(PROG) $(TESTS:$(B)/%=build/cov/%) $(FUZZ:$(B)/%=build/cov/%) $(CLI_TESTS) || true
	@tools/coverage build/cov $(LAYERS)

bench: $(B)/tools/bench ## speed of prefill and scoring beside the FMA peak of the same run
	$(B)/tools/bench

report-picture: demo deps-pages ## take the picture of README from the page of the demo
	@tools/page_picture demo/walker.html docs/img/report.png

pictures: $(B)/$(PROG) ## draw the pictures of docs/methods.md
	tools/pictures $(B)/$(PROG) docs/img/methods

bench-methods: $(B)/tools/bench ## prefill under every scaling method, beside none
	$(B)/tools/bench methods

bench-sweep: $(B)/tools/bench ## an eighth of a sweep of the 15M shape, and what all of it would take
	$(B)/tools/bench sweep

SHARE := $(DESTDIR)$(PREFIX)/share/ropewalk
install: all ## into PREFIX (under DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)
	install -m 755 $(B)/$(PROG) $(DESTDIR)$(PREFIX)/bin/$(PROG)
	for f in README.md LICENSE $$(find docs models/walker -type f); do install -D -m 644 $$f $(SHARE)/$$f; done

uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/$(PROG)
	rm -rf $(SHARE)

clean: ## everything that was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

FORCE:
.PHONY: all deps deps-pages demo walker tune test test-asan test-programs run-asan fuzz-replay fuzz fuzz-programs lint format check-layers cov pictures report-picture bench bench-methods bench-sweep \
        install uninstall clean help FORCE
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
