# The tests.  A unit test is one line here: its source is the file of the same name with .c.
# Scripts end in .sh (one fact each) or in .tap (many: they print "ok N - fact" lines).
AM_TESTS_ENVIRONMENT = \
	srcdir='$(abs_top_srcdir)'; export srcdir; \
	builddir='$(abs_top_builddir)'; export builddir; \
	BCACHEFUSE='$(abs_top_builddir)/bcachefuse'; export BCACHEFUSE;
TEST_EXTENSIONS = .sh .tap
TAP_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
# What has no suffix is a unit test; that one of its facts fails is told once, not by its exit, too.
LOG_DRIVER = $(TAP_LOG_DRIVER)
AM_LOG_DRIVER_FLAGS = --ignore-exit
LOG_COMPILER = $(srcdir)/tests/unit/as-tap
CLEANFILES =
EXTRA_PROGRAMS =

tidy_tests = \
	tests/tidy/citations.sh \
	tests/tidy/heads.sh \
	tests/tidy/layers.sh \
	tests/tidy/listed.sh \
	tests/tidy/man.sh \
	tests/tidy/marks.sh \
	tests/tidy/only_tests.sh \
	tests/tidy/self-test.sh \
	tests/tidy/shared.sh \
	tests/tidy/statics.sh \
	tests/tidy/tour.sh \
	tests/tidy/width.sh \
	tests/tidy/words.sh \
	$(NULL)
dist_check_SCRIPTS += $(tidy_tests)
TESTS += $(tidy_tests)
EXTRA_DIST += tests/tidy/code-only.awk tests/tidy/figures tests/tidy/find-sources

# Each file of base, format, index and control has its test here.
unit_tests = \
	tests/unit/test_bkey \
	tests/unit/test_bset \
	tests/unit/test_cache_bypass \
	tests/unit/test_cache_dirty_age \
	tests/unit/test_cache_fill \
	tests/unit/test_cache_flash \
	tests/unit/test_cache_gc \
	tests/unit/test_cache_gc_merge \
	tests/unit/test_cache_gc_move \
	tests/unit/test_cache_history \
	tests/unit/test_cache_placement \
	tests/unit/test_cache_ranges \
	tests/unit/test_cache_read \
	tests/unit/test_cache_request \
	tests/unit/test_cache_sequential \
	tests/unit/test_cache_set \
	tests/unit/test_cache_stats \
	tests/unit/test_cache_volume \
	tests/unit/test_cache_write \
	tests/unit/test_cache_writeback \
	tests/unit/test_cache_writeback_rate \
	tests/unit/test_control_facts \
	tests/unit/test_control_keys \
	tests/unit/test_control_manual \
	tests/unit/test_control_store \
	tests/unit/test_control_text \
	tests/unit/test_control_tree \
	tests/unit/test_convert_move \
	tests/unit/test_crc64 \
	tests/unit/test_error \
	tests/unit/test_escape \
	tests/unit/test_fuse_transport \
	tests/unit/test_hilbert \
	tests/unit/test_index_check \
	tests/unit/test_index_decode \
	tests/unit/test_index_insert \
	tests/unit/test_index_leaf_write \
	tests/unit/test_index_merge \
	tests/unit/test_index_memory \
	tests/unit/test_index_nodes \
	tests/unit/test_index_overlap \
	tests/unit/test_index_overlay \
	tests/unit/test_index_run \
	tests/unit/test_index_split \
	tests/unit/test_index_stripes \
	tests/unit/test_index_walk \
	tests/unit/test_io_blocking \
	tests/unit/test_io_buffer \
	tests/unit/test_io_channel \
	tests/unit/test_io_congestion \
	tests/unit/test_io_device \
	tests/unit/test_io_error_tally \
	tests/unit/test_io_exit_report \
	tests/unit/test_io_flush \
	tests/unit/test_io_notify \
	tests/unit/test_io_patches \
	tests/unit/test_io_path \
	tests/unit/test_io_poll_window \
	tests/unit/test_io_reactor \
	tests/unit/test_io_room \
	tests/unit/test_io_shadow \
	tests/unit/test_io_signals \
	tests/unit/test_journal_append \
	tests/unit/test_journal_entry \
	tests/unit/test_journal_read \
	tests/unit/test_journal_ring \
	tests/unit/test_journal_unreadable \
	tests/unit/test_latency \
	tests/unit/test_lifecycle_attach \
	tests/unit/test_lifecycle_failure \
	tests/unit/test_lifecycle_flash \
	tests/unit/test_lifecycle_forget \
	tests/unit/test_lifecycle_grow \
	tests/unit/test_lifecycle_job \
	tests/unit/test_lifecycle_settings \
	tests/unit/test_lifecycle_start \
	tests/unit/test_lifecycle_stop \
	tests/unit/test_lifecycle_waiting \
	tests/unit/test_list \
	tests/unit/test_log \
	tests/unit/test_options \
	tests/unit/test_map \
	tests/unit/test_numbers \
	tests/unit/test_prio \
	tests/unit/test_space_allocate \
	tests/unit/test_space_bucket \
	tests/unit/test_space_prio \
	tests/unit/test_space_refill \
	tests/unit/test_space_relocate \
	tests/unit/test_status \
	tests/unit/test_superblock \
	tests/unit/test_time_stats \
	tests/unit/test_tools_progress \
	tests/unit/test_tools_patch \
	tests/unit/test_tools_rescue_map \
	tests/unit/test_top \
	tests/unit/test_units \
	tests/unit/test_uuid \
	tests/unit/test_wait \
	$(NULL)
EXTRA_DIST += \
	tests/unit/as-tap \
	tests/unit/awaiter.h \
	tests/unit/cache_world.h \
	tests/unit/control_world.h \
	tests/unit/counted_memory.h \
	tests/unit/crafted_set.h \
	tests/unit/index_world.h \
	tests/unit/journal_world.h \
	tests/unit/space_world.h \
	$(NULL)
if HAVE_CRITERION
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
LDADD = $(ENGINE) $(CRITERION_LIBS) $(ENGINE_LIBS)
# tests/unit/counted_memory.h
counted_memory = $(AM_LDFLAGS) \
	-Wl,--wrap=calloc,--wrap=free,--wrap=malloc,--wrap=posix_memalign,--wrap=realloc
tests_unit_test_cache_set_LDFLAGS = $(counted_memory)
tests_unit_test_index_memory_LDFLAGS = $(counted_memory)
tests_unit_test_journal_append_LDFLAGS = $(counted_memory)
tests_unit_test_journal_read_LDFLAGS = $(counted_memory)
tests_unit_test_space_bucket_LDFLAGS = $(counted_memory)
tests_unit_test_space_prio_LDFLAGS = $(counted_memory)
tests_unit_test_fuse_transport_SOURCES = tests/unit/test_fuse_transport.c src/fuse/transport.c
tests_unit_test_fuse_transport_LDADD = $(LDADD) $(FUSE_LIBS)
tests_unit_test_convert_move_SOURCES = \
	tests/unit/test_convert_move.c \
	src/tools/convert_move.c \
	src/tools/convert_start.c \
	$(NULL)
tests_unit_test_convert_move_LDADD = $(LDADD) $(UUID_LIBS)
tests_unit_test_tools_progress_SOURCES = tests/unit/test_tools_progress.c src/tools/progress.c
tests_unit_test_tools_patch_SOURCES = \
	tests/unit/test_tools_patch.c \
	src/tools/patch.c
tests_unit_test_tools_rescue_map_SOURCES = \
	tests/unit/test_tools_rescue_map.c \
	src/tools/rescue_map.c
tests_unit_test_hilbert_SOURCES = tests/unit/test_hilbert.c src/tools/hilbert.c
tests_unit_test_map_SOURCES = \
	tests/unit/test_map.c \
	src/tools/complain.c \
	src/tools/hilbert.c \
	src/tools/map_hour.c \
	src/tools/map_lines.c \
	src/tools/map_model.c \
	src/tools/map_picture.c \
	src/tools/map_svg.c \
	src/tools/map_svg_volume.c \
	src/tools/map_text.c
tests_unit_test_status_SOURCES = \
	tests/unit/test_status.c \
	src/tools/live.c \
	src/tools/mounted.c \
	src/tools/mounts.c \
	src/tools/complain.c \
	src/tools/duration.c \
	src/tools/status_read.c \
	src/tools/status_text.c \
	src/tools/table.c
tests_unit_test_top_SOURCES = \
	tests/unit/test_top.c \
	src/tools/live.c \
	src/tools/mounted.c \
	src/tools/mounts.c \
	src/tools/status_read.c \
	src/tools/top_model.c
tests_unit_test_wait_SOURCES = \
	tests/unit/test_wait.c \
	src/tools/complain.c \
	src/tools/interrupt.c \
	src/tools/live.c \
	src/tools/mounted.c \
	src/tools/mounts.c \
	src/tools/progress.c \
	src/tools/status_read.c \
	src/tools/wait.c
tests_unit_test_options_SOURCES = tests/unit/test_options.c src/options.c

# The commands: their lines, their refusals.
tools_tests = \
	tests/mount/command.tap \
	tests/mount/daemon.tap \
	tests/mount/umount.tap \
	tests/tools/completion.tap \
	tests/tools/convert.tap \
	tests/tools/format.tap \
	tests/tools/scripts.tap \
	tests/tools/show.tap \
	$(NULL)
dist_check_SCRIPTS += $(tools_tests)
TESTS += $(tools_tests)
EXTRA_DIST += tests/fresh/in-root tests/tap.sh

# Members that must be refused.
evil_tests = \
	tests/evil/clean-but-dirty.tap \
	tests/evil/damage.tap \
	tests/evil/formatted-again.tap \
	tests/evil/fuzz.tap \
	tests/evil/members.tap \
	tests/evil/superblocks.tap \
	$(NULL)
dist_check_SCRIPTS += $(evil_tests)
TESTS += $(evil_tests)
EXTRA_DIST += tests/evil/evil.bash
check_PROGRAMS += tests/evil/make_damage tests/evil/make_superblock
tests_evil_make_damage_SOURCES = \
	tests/evil/make_damage.c \
	tests/evil/sound_set.c \
	tests/evil/sound_set.h \
	$(NULL)
tests_evil_make_damage_LDADD =
tests_evil_make_superblock_LDADD =

# Sets that the kernel left: mounted -o ro and compared with what the kernel itself read.
compat_tests = \
	tests/compat/check-images-ro.tap \
	tests/compat/check-reader.tap \
	$(NULL)
dist_check_SCRIPTS += $(compat_tests)
TESTS += $(compat_tests)
EXTRA_DIST += tests/compat/README.md tests/compat/images

# The independent reader: a program, and what judges the engine in the simulator.
check_PROGRAMS += tests/compat/reader
tests_compat_reader_SOURCES = \
	tests/compat/reader.c \
	tests/compat/reader.h \
	tests/compat/reader_main.c \
	$(NULL)
tests_compat_reader_LDADD =

# The real kernel's bcache in a User Mode Linux guest: make check-kernel.
kernel_tests = \
	tests/kernel/crossed.tap \
	tests/kernel/filled.tap \
	tests/kernel/fresh.tap \
	tests/kernel/merged.tap \
	tests/kernel/repaired.tap \
	tests/kernel/runner.tap \
	tests/kernel/verify-images.tap \
	tests/kernel/written.tap \
	tests/kernel/day.tap \
	$(NULL)
dist_check_SCRIPTS += $(kernel_tests)
check_PROGRAMS += \
	tests/kernel/patio \
	tests/kernel/sbedit \
	tests/kernel/set_registers \
	tests/kernel/settle \
	$(NULL)
tests_kernel_patio_LDADD =
tests_kernel_sbedit_LDADD =
tests_kernel_set_registers_LDADD =
tests_kernel_settle_LDADD =
EXTRA_DIST += \
	tests/kernel/README.md \
	tests/kernel/check-images \
	tests/kernel/judge.bash \
	tests/kernel/kernel-bcache \
	tests/kernel/make-images \
	tests/kernel/scenarios-public \
	tests/kernel/wide_xstate.c \
	$(NULL)

# A mounted daemon under load: make check-mount.
mount_tests = \
	tests/mount/around.tap \
	tests/mount/claim.tap \
	tests/mount/control.tap \
	tests/mount/exporter.tap \
	tests/mount/failing.tap \
	tests/mount/killed.tap \
	tests/mount/lives.tap \
	tests/mount/loop.tap \
	tests/mount/monitors.tap \
	tests/mount/overlay.tap \
	tests/mount/polling.tap \
	tests/mount/requests.tap \
	tests/mount/rounds.tap \
	tests/mount/signals.tap \
	tests/mount/sizes.tap \
	tests/mount/status.tap \
	tests/mount/sysfs.tap \
	tests/mount/volume_file.tap \
	tests/tools/check.tap \
	tests/tools/dump.tap \
	tests/tools/export.tap \
	tests/tools/forget.tap \
	tests/tools/import.tap \
	tests/tools/flush.tap \
	tests/tools/repair.tap \
	tests/pictures/pictures.tap \
	tests/tools/map.tap \
	tests/tools/map_members.tap \
	$(NULL)
dist_check_SCRIPTS += $(mount_tests)
EXTRA_DIST += \
	tests/mount/mount.bash \
	tests/pictures/make \
	tests/mount/sysfs-differences \
	tests/mount/sysfs-reference.txt \
	$(NULL)
check_PROGRAMS += tests/mount/file_calls tests/mount/file_model tests/mount/promises
tests_mount_file_calls_LDADD =
tests_mount_promises_LDADD =
tests_mount_file_model_LDADD =

# The engine under the simulator; more seeds by make check-sim SEEDS=1000.  The simulator has
# the files of src/libio.a written anew, and holds all memory that the engine asks for.
sim_tests = \
	tests/sim/cuts.sh \
	tests/sim/deep.sh \
	tests/sim/seeds.sh \
	tests/sim/toy.tap \
	$(NULL)
dist_check_SCRIPTS += $(sim_tests) tests/sim/planted.tap
TESTS += $(sim_tests)
EXTRA_DIST += tests/sim/planted
check_PROGRAMS += tests/sim/bcachefuse-sim tests/sim/sim_toy
sim_world = \
	tests/sim/aim.c \
	tests/sim/aim.h \
	tests/sim/blocking.c \
	tests/sim/device.c \
	tests/sim/lock.c \
	tests/sim/memory.c \
	tests/sim/reactor.c \
	tests/sim/sim.c \
	tests/sim/sim.h \
	tests/sim/world.h \
	$(NULL)
SIM_WRAP = \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=free \
	-Wl,--wrap=aligned_alloc,--wrap=posix_memalign,--wrap=mmap,--wrap=munmap \
	-Wl,--wrap=strdup,--wrap=strndup,--wrap=asprintf,--wrap=vasprintf
tests_sim_sim_toy_SOURCES = tests/sim/sim_toy.c $(sim_world)
tests_sim_sim_toy_LDADD = src/libengine.a $(ISAL_LIBS)
tests_sim_sim_toy_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)
# Another engine, whose marks count (base/sometimes.h).
check_LIBRARIES += tests/sim/libmarked.a
tests_sim_libmarked_a_SOURCES = $(src_libengine_a_SOURCES)
tests_sim_libmarked_a_CPPFLAGS = $(AM_CPPFLAGS) -DSIM_MARKS
tests_sim_bcachefuse_sim_CPPFLAGS = $(AM_CPPFLAGS) -DSIM_MARKS
sim_life = \
	tests/compat/reader.c \
	tests/compat/reader.h \
	tests/sim/blame.c \
	tests/sim/blame.h \
	tests/sim/check.c \
	tests/sim/check.h \
	tests/sim/damage.c \
	tests/sim/layout.c \
	tests/sim/layout.h \
	tests/sim/life.c \
	tests/sim/life.h \
	tests/sim/marks.c \
	tests/sim/marks.h \
	tests/sim/model.c \
	tests/sim/model.h \
	tests/sim/plan.c \
	tests/sim/plan.h \
	tests/sim/reshape.c \
	tests/sim/strike.c \
	tests/sim/swarm.c \
	tests/sim/swarm.h \
	tests/sim/tuner.c \
	tests/sim/users.c \
	tests/sim/waiting.c \
	$(NULL)
tests_sim_bcachefuse_sim_SOURCES = tests/sim/sim_main.c $(sim_life) $(sim_world)
tests_sim_bcachefuse_sim_LDADD = tests/sim/libmarked.a $(ISAL_LIBS)
tests_sim_bcachefuse_sim_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)

# Damaged sets: inputs of the corpus and drawn ones here, by any compiler; make check-fuzz lets
# libFuzzer look for more, under sanitizers, for FUZZ_SECONDS.
fuzz_tests = \
	tests/fuzz/drawn.sh \
	tests/fuzz/replay.sh \
	$(NULL)
dist_check_SCRIPTS += $(fuzz_tests) tests/fuzz/search.tap
TESTS += $(fuzz_tests)
EXTRA_DIST += tests/fuzz/bases tests/fuzz/corpus
check_PROGRAMS += tests/fuzz/fuzz_formats tests/fuzz/fuzz_set
fuzz_set_sources = \
	tests/evil/sound_set.c \
	tests/evil/sound_set.h \
	tests/fuzz/base.c \
	tests/fuzz/base.h \
	tests/fuzz/damage.c \
	tests/fuzz/damage.h \
	tests/fuzz/fuzz_set.c \
	tests/fuzz/inspect.c \
	tests/fuzz/inspect.h \
	tests/fuzz/judge.c \
	tests/fuzz/judge.h \
	tests/fuzz/layout.c \
	tests/fuzz/layout.h \
	tests/fuzz/target.h \
	$(sim_world)
fuzz_formats_sources = \
	tests/evil/sound_set.c \
	tests/evil/sound_set.h \
	tests/fuzz/fuzz_formats.c \
	tests/fuzz/target.h \
	$(sim_world)
tests_fuzz_fuzz_set_SOURCES = $(fuzz_set_sources) tests/fuzz/driver.c
tests_fuzz_fuzz_set_LDADD = src/libengine.a $(ISAL_LIBS)
tests_fuzz_fuzz_set_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)
tests_fuzz_fuzz_formats_SOURCES = $(fuzz_formats_sources) tests/fuzz/driver.c
tests_fuzz_fuzz_formats_LDADD = src/libengine.a $(ISAL_LIBS)
tests_fuzz_fuzz_formats_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)
# The same for libFuzzer, whose main() comes with the option.
EXTRA_PROGRAMS += \
	tests/fuzz/libfuzzer_formats \
	tests/fuzz/libfuzzer_set \
	$(NULL)
tests_fuzz_libfuzzer_set_SOURCES = $(fuzz_set_sources) tests/fuzz/libfuzzer.c
tests_fuzz_libfuzzer_set_LDADD = src/libengine.a $(ISAL_LIBS)
tests_fuzz_libfuzzer_set_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP) -fsanitize=fuzzer
tests_fuzz_libfuzzer_formats_SOURCES = $(fuzz_formats_sources) tests/fuzz/libfuzzer.c
tests_fuzz_libfuzzer_formats_LDADD = src/libengine.a $(ISAL_LIBS)
tests_fuzz_libfuzzer_formats_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP) -fsanitize=fuzzer
# The maker of base sets: nobody runs it here, so it is built, lest it fall behind.
check_PROGRAMS += tests/fuzz/make_base
tests_fuzz_make_base_SOURCES = \
	tests/evil/sound_set.c \
	tests/evil/sound_set.h \
	tests/fuzz/layout.c \
	tests/fuzz/layout.h \
	tests/fuzz/make_base.c \
	$(sim_life) \
	$(sim_world)
tests_fuzz_make_base_CPPFLAGS = $(tests_sim_bcachefuse_sim_CPPFLAGS)
tests_fuzz_make_base_LDADD = tests/sim/libmarked.a $(ISAL_LIBS)
tests_fuzz_make_base_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)
CLEANFILES += tests/fuzz/libfuzzer_formats tests/fuzz/libfuzzer_set

# Built anew with each sanitizer, below this build: what moves data, under load.
sanitizer_tests = \
	tests/compat/check-images-ro.tap \
	tests/evil/superblocks.tap \
	tests/mount/umount.tap \
	tests/mount/volume_file.tap \
	$(NULL)

.PHONY: check-fuzz check-kernel check-mount check-planted check-sanitizers check-sim check-unit
check-sanitizers:
	for list in address,undefined thread; do \
		$(MKDIR_P) "sanitizers/$$list" && cd "sanitizers/$$list" && \
		'$(abs_srcdir)/configure' --quiet --enable-developer \
			--enable-sanitizers="$$list" && \
		ASAN_OPTIONS=detect_leaks=0 && export ASAN_OPTIONS && \
		$(MAKE) $(AM_MAKEFLAGS) check TESTS="$(sanitizer_tests)" || exit 1; \
		cd ../..; \
	done
	cd sanitizers/address,undefined && SEEDS=$${SEEDS:-20} $(MAKE) $(AM_MAKEFLAGS) check \
		TESTS=tests/sim/seeds.sh
check-fuzz:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/fuzz/search.tap
check-kernel:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(kernel_tests)'
check-mount:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(mount_tests)'
check-planted:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=tests/sim/planted.tap
# How many small faults the tests notice: make mutants MUTANTS='OPTION...'.
.PHONY: mutants
mutants:
	'$(srcdir)/tests/mutants/mutate' $(MUTANTS) '$(abs_top_srcdir)'
EXTRA_DIST += tests/mutants/equivalent tests/mutants/mutate

check-sim:
	SEEDS=$${SEEDS:-1000}; export SEEDS; \
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(sim_tests)'
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(unit_tests)' check_PROGRAMS='$(unit_tests)'

# Measurements: make bench BENCH='OPTION...'.  What they need is built by that target only.
bench_programs = \
	tests/bench/fuse_limit \
	tests/bench/lookup \
	tests/bench/trace \
	$(NULL)
EXTRA_PROGRAMS += $(bench_programs)
# tests/mount/failing.tap needs it, too.
check_PROGRAMS += tests/bench/slowfile
tests_bench_fuse_limit_SOURCES = tests/bench/fuse_limit.c
tests_bench_fuse_limit_LDADD = $(URING_LIBS)
tests_bench_lookup_SOURCES = tests/bench/lookup.c
tests_bench_lookup_LDADD = $(ENGINE) $(ENGINE_LIBS)
tests_bench_slowfile_SOURCES = tests/bench/slowfile.c
tests_bench_slowfile_LDADD = $(FUSE_LIBS) -lm
tests_bench_trace_SOURCES = tests/bench/trace.c
tests_bench_trace_LDADD = -lm
tests/bench/count_allocations.so: tests/bench/count_allocations.c tests/bench/$(am__dirstamp)
	$(AM_V_CCLD)$(CC) -std=gnu17 -D_GNU_SOURCE= $(CFLAGS) -fPIC -shared -o $@ \
		$(srcdir)/tests/bench/count_allocations.c
CLEANFILES += $(bench_programs) tests/bench/count_allocations.so
EXTRA_DIST += \
	tests/bench/bench \
	tests/bench/common.bash \
	tests/bench/count_allocations.c \
	tests/bench/hitrate \
	tests/bench/hitrate.steps \
	tests/bench/keys \
	tests/bench/steps \
	tests/bench/writeback \
	tests/bench/table.awk \
	tests/bench/versus \
	tests/bench/versus.awk \
	$(NULL)
.PHONY: bench
bench: bcachefuse $(bench_programs) tests/bench/slowfile tests/bench/count_allocations.so
	srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' \
	BCACHEFUSE='$(abs_top_builddir)/bcachefuse' \
		bash '$(srcdir)/tests/bench/bench' $(BENCH)
