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

# A C test is one file and is linked with archives of all that there is, one a
# folder of src/, one of the modules, those too that are left out here, and one
# of t/lib/.  The linker takes from them what the test uses, and where it has a
# function of its own instead, that one.
FOLDERS := $(patsubst src/%/,%,$(sort $(dir $(wildcard src/*/*.c))))
ARCHIVES := $(patsubst %,$(BUILD)/archives/%.a,$(FOLDERS) modules t)
ALL_ARCHIVES = -Wl,--start-group $(ARCHIVES) -Wl,--end-group
LEFT_OUT = $(filter-out $(MODULE_SRC),$(wildcard modules/*/*.c))
TEST_SRC := $(filter-out t/lib/replay.c,$(wildcard t/lib/*.c))

define folder_archive
$(BUILD)/archives/$(1).a: $(filter $(BUILD)/src/$(1)/%,$(CORE_OBJ))
endef
$(foreach folder,$(FOLDERS),$(eval $(call folder_archive,$(folder))))
$(BUILD)/archives/modules.a: $(MODULE_OBJ) $(LEFT_OUT:%.c=$(BUILD)/%.o)
$(BUILD)/archives/t.a: $(TEST_SRC:%.c=$(BUILD)/%.o)

# From nothing, as files go away, too; q, as some have one name.
$(ARCHIVES): $(BUILD)/objects
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

UNITS := $(patsubst t/%.c,$(BUILD)/%,$(wildcard t/unit/*.c))
REPLAYS := $(patsubst t/fuzz/%.c,$(BUILD)/replay/%,$(wildcard t/fuzz/*.c))
FUZZERS := $(patsubst t/fuzz/%.c,$(BUILD)/fuzzers/%,$(wildcard t/fuzz/*.c))

# The benchmark's programs are tests, too.
BENCH_TOOLS = $(BUILD)/bench/load $(BUILD)/bench/least $(BUILD)/bench/fanout.so

unit: $(UNITS) $(REPLAYS) $(BENCH_TOOLS)

$(UNITS): $(BUILD)/unit/%: $(BUILD)/t/unit/%.o $(ARCHIVES)
$(REPLAYS): $(BUILD)/replay/%: $(BUILD)/t/fuzz/%.o $(BUILD)/t/lib/replay.o \
    $(ARCHIVES)
$(UNITS) $(REPLAYS):
	@mkdir -p $(@D)
	$(Q_LD)$(CC) -pie $(LDFLAGS) -Wl,-E -o $@ $(filter %.o,$^) \
	    $(ALL_ARCHIVES) $(LIBS)

# Only the fuzzer's main calls what these define.
$(BUILD)/t/fuzz/%.o: CFLAGS += -Wno-missing-prototypes

FUZZ_CC = clang
FUZZ_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I. -I$(BUILD) -g -O1 \
    -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SRC = $(filter-out src/main.c,$(SRC)) $(MODULE_SRC) $(LEFT_OUT) \
    $(TEST_SRC)
FUZZ_OBJ = $(FUZZ_SRC:%.c=$(BUILD)/fuzzers/objects/%.o)

fuzz: $(FUZZERS)
	@echo "run one as: $(BUILD)/fuzzers/NAME t/fuzz/corpus/NAME"

# All of it once more, as the fuzzer wants it.
$(BUILD)/fuzzers/objects/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q_CC)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c \
	    -o $@ $<

$(BUILD)/fuzzers/objects/all.a: $(FUZZ_OBJ) $(BUILD)/objects
	@rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

$(FUZZERS): $(BUILD)/fuzzers/%: t/fuzz/%.c $(BUILD)/fuzzers/objects/all.a
	$(Q_LD)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -MMD -MP -MT $@ \
	    -MF $@.d -o $@ $< $(BUILD)/fuzzers/objects/all.a $(LIBS)

# ---- the benchmark ----

BENCH =
BENCH_LOAD := $(patsubst %.c,$(BUILD)/%.o,$(filter-out \
    t/bench/least.c t/bench/fanout.c, $(wildcard t/bench/*.c)))

$(BUILD)/bench/load: $(BENCH_LOAD) $(ARCHIVES)
$(BUILD)/bench/least: $(BUILD)/t/bench/least.o $(ARCHIVES)
$(BUILD)/bench/load $(BUILD)/bench/least:
	@mkdir -p $(@D)
	$(Q_LD)$(CC) -pie $(LDFLAGS) -o $@ $(filter %.o,$^) $(ALL_ARCHIVES) \
	    $(LIBS)

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
	    $(BUILD)/t $(BUILD)/archives $(BUILD)/unit $(BUILD)/replay \
	    $(BUILD)/fuzzers $(BUILD)/bench $(BUILD)/run
	rm -f $(BUILD)/linnet $(BUILD)/*.so $(BUILD)/*.o $(BUILD)/*.d \
	    $(BUILD)/objects
	find $(BUILD)/dynamic -name '*.[od]' -exec rm -f {} + 2>/dev/null || :

help:
	@sed -n 's/^#: /  make /p' auto/rules.mk

force:

-include $(LIB_OBJ:.o=.d) $(MAIN_OBJ:.o=.d) \
    $(wildcard $(BUILD)/t/*/*.d $(BUILD)/bench/*.d $(BUILD)/dynamic/*/*.d) \
    $(LEFT_OUT:%.c=$(BUILD)/%.d)
ifneq ($(filter fuzz,$(MAKECMDGOALS)),)
-include $(FUZZ_OBJ:.o=.d) $(FUZZERS:=.d)
endif
