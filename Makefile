# ropewalk: build, test, lint, bench, install. Variants live in folders of their own under build/:
#   make [VARIANT=release|debug|asan|cov] [ARCH=native|x86-64|…] [WERROR=1]

PROG    := ropewalk
VARIANT ?= release
ARCH    ?= native
PREFIX  ?= /usr/local
B       := build/$(VARIANT)
# Lowest layer first; a layer may use those before it (tools/check_layers).
LAYERS  := base models datasets reports harness

PACKAGES := openblas sqlite3 jansson libpcre2-8 libutf8proc yaml-0.1 libcrypto
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings \
        -Wcast-qual -Wformat=2 -Wpointer-arith -Wundef -Wdouble-promotion $(if $(WERROR),-Werror)
OPT_release := -O3 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g3 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT_cov     := -O0 -g3 --coverage
# Contraction is stated, since the default depends on -std; NaN must stay visible, so never -ffast-math.
MATH := -fno-math-errno -fno-trapping-math -ffp-contract=fast
ALLC  = -std=c17 -D_DEFAULT_SOURCE -D_XOPEN_SOURCE=700 $(WARN) $(OPT_$(VARIANT)) $(MATH) -march=$(ARCH) -fopenmp -fno-common -I. -MMD -MP \
        $(PKG_CFLAGS) $(CFLAGS)
LIBS  = $(PKG_LIBS) -lm -pthread $(LDLIBS)

sources = $(filter-out harness/main.c,$(wildcard $(1)/*.c $(1)/*/*.c))
objects = $(patsubst %.c,$(B)/%.o,$(call sources,$(1))) $(patsubst %,$(B)/%.o,$(wildcard $(1)/*.css $(1)/*.sql))
archive = $(B)/lib$(1).a
# Archives of the named layers, highest first, as a linker wants them.
archives = $(foreach l,harness reports datasets models base,$(if $(filter $(l),$(1)),$(call archive,$(l))))

all: $(B)/$(PROG)

# One archive a layer: a link that names only the layers a program may use makes a forbidden call fail to link.
define layer
$(call archive,$(1)): $(call objects,$(1))
	@rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer,$(l))))

$(B)/$(PROG): $(B)/harness/main.o $(call archives,$(LAYERS))
	$(CC) $(ALLC) -o $@ $^ $(LIBS)

# The layers that each test program links.
include tests/uses.mk
SUPPORT := $(B)/tests/test_util.o $(B)/tests/llama_twin.o
TESTS := $(filter-out $(B)/tests/test_util,$(patsubst %.c,$(B)/%,$(wildcard tests/test_*.c)))
FUZZ  := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))

.SECONDEXPANSION:
$(TESTS): $(B)/tests/%: $(B)/tests/%.o $(SUPPORT) $$(call archives,$$(USES_$$*))
	$(CC) $(ALLC) -o $@ $^ -lcmocka $(LIBS)

$(FUZZ): $(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/driver.o $$(call archives,$$(USES_$$*))
	$(CC) $(ALLC) -o $@ $^ $(LIBS)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALLC) -c -o $@ $<
$(B)/%.css.o: %.css
	@mkdir -p $(@D)
	$(LD) -r -b binary -z noexecstack -o $@ $<
$(B)/%.sql.o: %.sql
	@mkdir -p $(@D)
	$(LD) -r -b binary -z noexecstack -o $@ $<

.PHONY: all
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
