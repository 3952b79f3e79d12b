# The fixed part of the build file: configure puts variables before it and the
# rules of the modules behind it.  Lines that begin with "#:" are the targets
# that people use, with what "make help" says of each.
#
#: all        builds linnet and the dynamic modules
#: install    installs them; DESTDIR= is honoured, server.ini never overwritten
#: uninstall  removes what install put there, not server.ini and logs
#: upgrade    installs, then has the running server replace itself
#: modules    builds the dynamic modules only
#: test       runs the tests: all of them, or TESTS="t/unit.t ..."
#: check      lint, then test
#: unit       builds the C test programs
#: fuzz       builds the fuzz targets with clang's fuzzer (into fuzzers/)
#: bench      compares with other servers (t/bench/README.md); BENCH="--help"
#: lint       floors and circles, formatting, warnings of gcc and clang, sh
#: format     formats the C sources with clang-format
#: docs       writes docs/configuration.md from the tables of directives
#: run        builds and runs linnet in the foreground with conf/server.ini
#: clean      removes what was built; configure's answers stay
#: help       this list

.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all install uninstall upgrade modules test check unit fuzz lint \
    format docs run clean help force

# "make V=1" shows the commands.
ifeq ($(V),)
Q_CC = @echo "  CC   $<";
Q_LD = @echo "  LINK $@";
Q_GEN = @echo "  GEN  $@";
endif

SRC := $(sort $(wildcard src/*.c src/*/*.c))
CORE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out src/main.c,$(SRC)))
LIB_OBJ = $(CORE_OBJ) $(MODULE_OBJ)
MAIN_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/main.c))
C_FILES := $(sort $(wildcard src/*.[ch] src/*/*.[ch] modules/*/*.[ch] \
    t/*/*.[ch] t/modules/*/*.[ch]))

all: $(BUILD)/linnet modules

modules: $(DYNAMIC)

# -E: dynamic modules call into the program.
$(BUILD)/linnet: $(LIB_OBJ) $(MAIN_OBJ) $(BUILD)/objects
	$(Q_LD)$(CC) -pie $(LDFLAGS) -Wl,-E -o $@.new \
	    $(filter %.o,$^) $(LIBS)
	@mv -f $@.new $@

# Links again when a source file went away, which no date tells.
$(BUILD)/objects: force
	@echo $(LIB_OBJ) $(MAIN_OBJ) | cmp -s - $@ || \
	    echo $(LIB_OBJ) $(MAIN_OBJ) >$@

# ---- tests ----

# What to link each C test with stands in its LINK comment.
$(BUILD)/tests.mk: auto/tests $(wildcard t/unit t/fuzz t/unit/*.c t/fuzz/*.c)
	@sh auto/tests >$@.new && mv -f $@.new $@

ifneq ($(filter test check unit fuzz lint,$(MAKECMDGOALS)),)
include $(BUILD)/tests.mk
endif

# The benchmark's programs are tests, too.
BENCH_TOOLS = $(BUILD)/bench/load $(BUILD)/bench/least $(BUILD)/bench/fanout.so

unit: $(UNITS) $(REPLAYS) $(BENCH_TOOLS)

$(UNITS) $(REPLAYS):
	@mkdir -p $(@D)
	$(Q_LD)$(CC) -pie $(LDFLAGS) -Wl,-E -o $@ $(filter %.o,$^) \
	    $(TEST_LIBS) $(LIBS)

# Only the fuzzer's main calls what these define.
$(BUILD)/t/fuzz/%.o: CFLAGS += -Wno-missing-prototypes

FUZZ_CC = clang
FUZZ_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I. -I$(BUILD) -g -O1 \
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

fuzz: $(FUZZERS)
	@echo "run one as: $(BUILD)/fuzzers/NAME t/fuzz/corpus/NAME"

$(FUZZERS):
	@mkdir -p $(@D)
	$(Q_LD)$(FUZZ_CC) $(FUZZ_CFLAGS) -o $@ $(filter %.c,$^) $(TEST_LIBS) \
	    $(LIBS)

# ---- the benchmark ----

BENCH =
BENCH_LOAD := $(patsubst %.c,$(BUILD)/%.o,$(filter-out \
    t/bench/least.c t/bench/fanout.c, $(wildcard t/bench/*.c)))
BENCH_LINK = $(CORE_OBJ) $(BUILD)/modules/websocket/sha1.o \
    $(BUILD)/modules/websocket/base64.o

$(BUILD)/bench/load: $(BENCH_LOAD) $(BENCH_LINK)
$(BUILD)/bench/least: $(BUILD)/t/bench/least.o $(BENCH_LINK)
$(BUILD)/bench/load $(BUILD)/bench/least:
	@mkdir -p $(@D)
	$(Q_LD)$(CC) -pie $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/bench/fanout.so: t/bench/fanout.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q_LD)$(CC) $(CFLAGS) $(LDFLAGS) -fPIC -shared -Wl,-Bsymbolic \
	    -MMD -MP -MT $@ -MF $@.d -o $@ $<

bench: all $(BENCH_TOOLS)
	@BUILD='$(abspath $(BUILD))' perl t/bench/run $(BENCH)

TESTS = t
PROVE = prove
PROVE_FLAGS =

# Tests find the build by these; LINNET_BUILT says that nothing needs making.
TEST_ENV = LINNET_TOP='$(TOP)' LINNET_BUILD='$(abspath $(BUILD))' \
    LINNET_BINARY='$(abspath $(BUILD))/linnet' LINNET_BUILT=1 \
    LINNET_DEBUG='$(filter yes,$(DEBUG))' \
    LINNET_SANITIZE='$(filter yes,$(SANITIZE))' \
    TEST_TIME_FACTOR="$${TEST_TIME_FACTOR:-$(if $(filter yes,$(SANITIZE)),4,1)}"

# Some have a thousand clients in one process: more descriptors than the shells
# of many systems begin with.
test: all unit
	@sh auto/deps node || echo "tests with clients from npm are left out"
	@ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$$(ulimit -H -n)"; \
	    $(TEST_ENV) $(PROVE) --norc -It/lib $(PROVE_FLAGS) -r $(TESTS) \
	    </dev/null

check: lint
	@+$(MAKE) --no-print-directory -f $(BUILD)/build.mk test

lint: all unit
	@CC='$(CC)' CFLAGS='$(filter-out -Werror,$(CFLAGS))' BUILD='$(BUILD)' \
	    sh auto/lint $(LIB_OBJ) $(MAIN_OBJ)

format:
	clang-format -i $(C_FILES)

# The directives as the program knows them, whatever is built into it here.
docs: $(BUILD)/linnet
	@$(BUILD)/linnet -R >docs/configuration.md

# ---- for people ----

RUN = $(abspath $(BUILD))/run
# A unix socket's path has 107 bytes, with /run/control.sock.PID of them.
RUN_LONGEST = 80

run: all
	@mkdir -p '$(RUN)/logs' '$(RUN)/run' '$(RUN)/modules'
	@for so in $(DYNAMIC); do cp "$$so" '$(RUN)/modules/'; done
	@set -e; set --; run='$(RUN)'; \
	if [ $${#run} -gt $(RUN_LONGEST) ]; then \
	    dir=$$(mktemp -d); \
	    echo "the path of this folder is too long for a unix socket," \
	        "so the control socket is in $$dir"; \
	    set -- -o "server.run_dir=$$dir"; \
	fi; \
	echo "starting; open http://127.0.0.1:8080/ in two browsers," \
	    "Ctrl-C stops"; \
	exec $(BUILD)/linnet -p "$$run" -c '$(TOP)/conf/server.ini' \
	    -o log.error=stderr "$$@"

clean:
	rm -rf $(BUILD)/src $(BUILD)/modules $(BUILD)/addon $(BUILD)/assets \
	    $(BUILD)/t $(BUILD)/unit $(BUILD)/replay $(BUILD)/fuzzers \
	    $(BUILD)/bench $(BUILD)/run
	rm -f $(BUILD)/linnet $(BUILD)/*.so $(BUILD)/*.o $(BUILD)/*.d \
	    $(BUILD)/objects $(BUILD)/tests.mk
	find $(BUILD)/dynamic -name '*.[od]' -exec rm -f {} + 2>/dev/null || :

help:
	@sed -n 's/^#: /  make /p' auto/rules.mk

force:

-include $(LIB_OBJ:.o=.d) $(MAIN_OBJ:.o=.d) \
    $(wildcard $(BUILD)/t/*/*.d $(BUILD)/bench/*.d $(BUILD)/dynamic/*/*.d)
