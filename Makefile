# make                 build every tool into build/bin
# make demo            build, then three contenders for one lock, on a ZooKeeper of its own
# make test            build, then every test               (make test ONLY=zk-lock)
# make check           formatting, shellcheck and the layering rules; changes nothing
# make install         executables, man pages and completion (PREFIX=/usr/local DESTDIR=)
# make faults          the fault campaign: every fault RUNS=20 times
# make bench           measurements beside others, as ratios
# make model           the algorithms that have a model, checked by Spin
# make SAN=thread ...  the same in a build folder of its own (address, thread, undefined)
#
# A tool is a folder tools/NAME: its sources become build/bin/NAME. Nothing is listed here.

VERSION  := 0.1.0
CXX      ?= g++
CXXFLAGS ?= -O2 -g
PREFIX   ?= /usr/local
RUNS     ?= 20
BUILD    := build$(if $(SAN),-$(SAN))
OUT      := $(CURDIR)/$(BUILD)
MAKEFLAGS += -j$(shell nproc)

override CPPFLAGS += -Ilib -MMD -MP -DZKUTILS_VERSION='"$(VERSION)"'
override CXXFLAGS += -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Werror -pthread $(SAN:%=-fsanitize=% -Wno-maybe-uninitialized)
# An executable is one file that needs only libc: the C client comes from its archive. (A sanitizer has its own wishes.)
override LDFLAGS  += -pthread $(if $(SAN),-fsanitize=$(SAN),-static-libstdc++ -static-libgcc)
LDLIBS            := -l:libzookeeper_mt.a -l:libz.a

LIBRARY := $(BUILD)/libzkutils.a
TOOLS   := $(notdir $(wildcard tools/*))
MANUALS := $(TOOLS:%=$(BUILD)/man/%.1)
BENCHES := $(patsubst bench/%.cc,$(BUILD)/%,$(wildcard bench/*.cc))
objects  = $(patsubst %.cc,$(BUILD)/obj/%.o,$(wildcard $(1)/*.cc))
SOURCES := $(wildcard lib/*.h lib/*.cc tools/*/*.h tools/*/*.cc test/unit/*.cc bench/*.cc)
SHELLS  := $(wildcard scripts/*.sh test/*.bash test/*.bats) \
           $(shell grep -lE '^\#!.*(bash|/sh)' $(wildcard scripts/* test/* bench/* model/*) .ci/run 2>/dev/null)

all: $(TOOLS:%=$(BUILD)/bin/%)

$(BUILD)/obj/%.o: %.cc Makefile | dependencies-build
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(LIBRARY): $(call objects,lib)
	@rm -f $@
	ar rcs $@ $^

.SECONDEXPANSION:
$(BUILD)/bin/%: $$(call objects,tools/$$*) $(LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/unit: $(call objects,test/unit) $(LIBRARY) | dependencies-test
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/obj/test/unit/%.o: | dependencies-test

$(BENCHES): $(BUILD)/%: $(BUILD)/obj/bench/%.o $(LIBRARY)
	$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The manual is the help, in the manual's form: it cannot say anything else.
$(BUILD)/man/%.1: $(BUILD)/bin/%
	@mkdir -p $(@D)
	help2man --no-info --name="$$($< --help | sed -n '/^\(Usage\|  or\):/d;s/^\(.*\)\.$$/\l\1/p;q')" --output=$@ $<

demo: all dependencies-server dependencies-demo
	scripts/lock-queue

test: all $(BUILD)/unit $(MANUALS) dependencies-test dependencies-server dependencies-demo
	BIN=$(OUT)/bin UNIT=$(if $(ONLY),,$(OUT)/unit) test/run $(if $(ONLY),test/$(ONLY).bats,test/*.bats)

faults: all dependencies-test dependencies-server dependencies-demo
	BIN=$(OUT)/bin RUNS=$(RUNS) BATS_TEST_TIMEOUT=3600 test/run test/faults.bats

bench: all dependencies-server dependencies-bench $(BENCHES)
	bench/run

model: dependencies-model
	model/run

check: dependencies-check
	clang-format --dry-run -Werror $(SOURCES)
	shellcheck -x $(SHELLS)
	test/layers

install: all $(MANUALS)
	install -D -t $(DESTDIR)$(PREFIX)/bin $(TOOLS:%=$(BUILD)/bin/%)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MANUALS)
	for tool in $(TOOLS); do \
	  install -D -m 644 scripts/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$tool || exit; done

# One after the other: apt is not for two at once.
dependencies-server: | dependencies-build
dependencies-demo: | dependencies-server
dependencies-test: | dependencies-demo
dependencies-bench: | dependencies-test
dependencies-model: | dependencies-build
dependencies-%:
	@scripts/install-deps $*

clean:
	rm -rf build build-address build-thread build-undefined

.PHONY: all demo test faults bench model check install clean
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
