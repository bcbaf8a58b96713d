# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo        install what is missing, build, learn a schedule for the embedded network
# make test        install what is missing, build, run every test (Check)
# make all         the library build/libdynaprec.a and the program build/dynaprec
# make setup       only install what building needs and this machine lacks
# make check-asan  the tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make mpi         build/dynaprec-mpi, which shares its passes over MPI's ranks; make mpi-test runs it under mpirun
# make conformance run ONNX's own node tests, and networks beside PyTorch, where Debian's python3-onnx and -torch are there
# make bench       measure what docs/benchmarks.md reports; uses DYNAPREC_MODELS where it is there
# make install     into PREFIX (default /usr/local): program, library, headers, hardware presets
# make lint        clang-format, cppcheck and shellcheck; make format rewrites the sources
# make clean       remove build/
#
# WERROR=1 turns warnings into errors; BUILD=dir builds elsewhere; V=1 shows what demo and test compile.

BUILD   ?= build
PREFIX  ?= /usr/local
VERSION := 0.1.0
DATADIR  = $(PREFIX)/share/dynaprec

CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CFLAGS  ?= -O3 -g
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
# -ffp-contract=off: the same bits with and without fused multiply-add, so on every processor.
FLAGS    = -std=c11 -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread \
           -Iinclude -Isrc -I$(BUILD)/gen -MMD -MP $(SANITIZE)
DEFINES  = -DDYNAPREC_VERSION='"$(VERSION)"' -DDYNAPREC_DATADIR='"$(DATADIR)"'
# OpenBLAS before GSL and without -lgslcblas: GSL then calls OpenBLAS too (a test holds this).
LIBS     = -lopenblas -lgsl -lyaml -lz -lprotobuf-c -lm

SRC     := $(filter-out src/cli/% src/mpi/%,$(wildcard src/*/*.c src/*/*/*.c))
CLI     := $(wildcard src/cli/*.c)
TESTS   := $(wildcard tests/*.c)
OBJ      = $(SRC:%.c=$(BUILD)/%.o) $(BUILD)/gen/onnx.pb-c.o
SOURCES  = $(wildcard include/*/*.h src/*/*.[ch] src/*/*/*.[ch] tests/*.[ch] tests/bench/*.[ch] examples/c/*.c)
LIB      = $(BUILD)/libdynaprec.a
BIN      = $(BUILD)/dynaprec
LINK     = mkdir -p $(@D); $(CC) $(CFLAGS) $(SANITIZE) -pthread -o $@ $^

.PHONY: all demo mpi mpi-test test check-asan conformance bench install clean format lint setup FORCE
all: $(LIB) $(BIN)

$(BUILD)/%.o: %.c | $(BUILD)/gen/onnx.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARN) $(FLAGS) $(DEFINES) -c $< -o $@

# The ONNX reader, made from the onnx.proto that Debian's libonnx-dev ships.
$(BUILD)/gen/onnx.pb-c.h $(BUILD)/gen/onnx.pb-c.c &: /usr/include/onnx/onnx.proto
	@mkdir -p $(@D); protoc-c --c_out=$(BUILD)/gen -I/usr/include/onnx onnx.proto
$(BUILD)/gen/onnx.pb-c.o: $(BUILD)/gen/onnx.pb-c.c
	$(CC) $(CFLAGS) -w $(FLAGS) -c $< -o $@

# Objects that know where the presets will be follow when PREFIX changes.
$(BUILD)/gen/datadir: FORCE
	@mkdir -p $(@D); echo '$(DATADIR)' | cmp -s - $@ || echo '$(DATADIR)' > $@
$(CLI:%.c=$(BUILD)/%.o): $(BUILD)/gen/datadir

# Passes that are kept belong to the sources that made them.
$(BUILD)/gen/source_digest.h: FORCE
	@mkdir -p $(@D)
	@echo "#define DP_SOURCE_DIGEST \"$$(cat $(SRC) $(wildcard src/*/*.h src/*/*/*.h) | sha256sum | cut -c 1-64)\"" > $@.new
	@cmp -s $@.new $@ || cp $@.new $@
$(BUILD)/src/engine/cache_key.o: $(BUILD)/gen/source_digest.h

$(LIB): $(OBJ)
	rm -f $@; ar rcs $@ $^
$(BIN): $(CLI:%.c=$(BUILD)/%.o) $(LIB)
	$(LINK) $(LIBS)

# The same objects with another answer to "am I alone?".
$(BUILD)/src/mpi/process.o: override CC = mpicc
$(BIN)-mpi: $(filter-out %/process.o,$(CLI:%.c=$(BUILD)/%.o)) $(BUILD)/src/mpi/process.o $(LIB)
	mpicc $(CFLAGS) $(SANITIZE) -pthread -o $@ $^ $(LIBS)

# One suite a file: tests/test_x.c defines test_x_suite, and the list is made from the names.
$(BUILD)/tests/suites.inc: $(TESTS)
	@mkdir -p $(@D); ls tests/test_*.c | sed 's,tests/\(.*\)\.c,SUITE(\1_suite),' > $@.new
	@cmp -s $@.new $@ || cp $@.new $@
$(TESTS:%.c=$(BUILD)/%.o): | $(BUILD)/tests/suites.inc
$(BUILD)/check: FLAGS += -I$(BUILD)/tests -Itests
# Tests run the program too, so it has to be there. Wrapped: tests/heap.c makes allocations fail.
$(BUILD)/check: $(TESTS:%.c=$(BUILD)/%.o) $(LIB) | $(BIN)
	$(LINK) -Wl,--wrap=aligned_alloc,--wrap=free -lcheck -lsubunit -lglpk -lrt $(LIBS)

# A fresh make, which sees what setup has just installed; as many jobs as processors unless told.
AGAIN    = echo Building; $(MAKE) --no-print-directory $(if $(V),,-s) $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

setup:
	@CC='$(CC)' .ci/setup build
demo: setup
	@$(AGAIN) all
	$(BIN) learn calib_data/digits.onnx --data calib_data/digits_learn.npz --hardware homodyne \
	    --max-drop 2 --granularity channel -o results/demo/schedule.yaml
mpi: setup
	@.ci/setup mpi
	@$(AGAIN) all $(BIN)-mpi
mpi-test: mpi
	@tests/mpi/run --build $(BUILD)
test: setup
	@$(AGAIN) all $(BUILD)/check
	@CK_DEFAULT_TIMEOUT=120 $(BUILD)/check -j $(shell nproc)
check-asan: setup
	@$(AGAIN) BUILD=$(BUILD)/asan CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' $(BUILD)/asan/check
	@ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 CK_DEFAULT_TIMEOUT=600 $(BUILD)/asan/check -j $(shell nproc)
conformance: all $(BUILD)/bench/condition
	@tests/conformance/run --build $(BUILD) && tests/networks/run --build $(BUILD)
$(addprefix $(BUILD)/bench/,speed profile condition variance): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/bench/network.o $(BUILD)/src/cli/start.o $(LIB)
	$(LINK) $(LIBS)
bench: all $(if $(shell command -v mpicc),$(BIN)-mpi) $(addprefix $(BUILD)/bench/,speed condition variance)
	@BUILD='$(BUILD)' tests/bench/run

install: all
	install -D -t $(DESTDIR)$(PREFIX)/bin $(BIN) $(wildcard $(BIN)-mpi)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib $(LIB)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/dynaprec include/dynaprec/*.h
	install -D -m 644 -t $(DESTDIR)$(DATADIR)/hardware examples/hardware/*.yaml
	sed 's,@PREFIX@,$(PREFIX),; s,@VERSION@,$(VERSION),; s,@LIBS@,$(LIBS),' include/dynaprec.pc.in | \
	    install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/pkgconfig/dynaprec.pc

lint:
	@.ci/lint $(SOURCES)
format:
	clang-format -i $(SOURCES)
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
