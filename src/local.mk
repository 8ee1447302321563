# The program and its two libraries, a list for each layer.  The order is that of the layers:
# a file includes its own folder and those that stand above it here (tests/tidy/layers.sh).

# What the kernel wrote and will read; installed, so that other programs can read it too.
diskformatdir = $(includedir)/bcachefuse
diskformat_HEADERS = \
	include/bcachefuse/bkey.h \
	include/bcachefuse/bset.h \
	include/bcachefuse/journal_entry.h \
	include/bcachefuse/le.h \
	include/bcachefuse/prio.h \
	include/bcachefuse/superblock.h \
	include/bcachefuse/uuid.h \
	$(NULL)

base_sources = \
	src/base/compiler.c \
	src/base/compiler.h \
	src/base/crc64.c \
	src/base/crc64.h \
	src/base/error.c \
	src/base/error.h \
	src/base/escape.c \
	src/base/escape.h \
	src/base/latency.c \
	src/base/latency.h \
	src/base/list.h \
	src/base/log.c \
	src/base/log.h \
	src/base/numbers.h \
	src/base/random.h \
	src/base/sometimes.h \
	src/base/time_stats.h \
	src/base/units.c \
	src/base/units.h \
	$(NULL)

format_sources = \
	src/format/bkey.c \
	src/format/bkey.h \
	src/format/bset.c \
	src/format/bset.h \
	src/format/journal_entry.c \
	src/format/journal_entry.h \
	src/format/prio.c \
	src/format/prio.h \
	src/format/superblock.c \
	src/format/superblock.h \
	src/format/uuid.c \
	src/format/uuid.h \
	$(NULL)

# What of io/ is the same in the simulator.
io_sources = \
	src/io/buffer.c \
	src/io/congestion.c \
	src/io/device_shared.c \
	src/io/error_tally.c \
	src/io/error_tally.h \
	src/io/flush.c \
	src/io/room.c \
	src/io/room.h \
	src/io/poll_window.c \
	src/io/blocking.h \
	src/io/buffer.h \
	src/io/channel.h \
	src/io/congestion.h \
	src/io/device.h \
	src/io/device_shared.h \
	src/io/flush.h \
	src/io/lock.h \
	src/io/mount_table.h \
	src/io/op.h \
	src/io/own_mount.h \
	src/io/patches.h \
	src/io/path.h \
	src/io/poll_window.h \
	src/io/process.h \
	src/io/reactor.h \
	src/io/signals.h \
	src/io/step_times.h \
	$(NULL)

journal_sources = \
	src/journal/append.c \
	src/journal/health.c \
	src/journal/health.h \
	src/journal/internal.h \
	src/journal/journal.h \
	src/journal/read.c \
	src/journal/reclaim.c \
	src/journal/write.c \
	$(NULL)

space_sources = \
	src/space/allocate.c \
	src/space/bucket.c \
	src/space/internal.h \
	src/space/prio.c \
	src/space/refill.c \
	src/space/relocate.c \
	src/space/room.c \
	src/space/space.h \
	src/space/survey.c \
	src/space/victims.c \
	$(NULL)

index_sources = \
	src/index/check.c \
	src/index/index.c \
	src/index/index.h \
	src/index/insert.c \
	src/index/internal.h \
	src/index/leaf_write.c \
	src/index/lookup.c \
	src/index/node_cache.c \
	src/index/node_decode.c \
	src/index/node_decode.h \
	src/index/node_encode.c \
	src/index/node_io.c \
	src/index/overlap.c \
	src/index/overlay.c \
	src/index/run.c \
	src/index/run.h \
	src/index/run_merge.c \
	src/index/merge.c \
	src/index/split.c \
	src/index/split.h \
	src/index/split_build.c \
	src/index/split_layout.c \
	src/index/split_switch.c \
	src/index/stripes.c \
	src/index/stripes.h \
	src/index/walk.c \
	$(NULL)

check_sources = \
	src/check/against.c \
	src/check/check.h \
	src/check/extents.c \
	src/check/faults.c \
	src/check/generations.c \
	src/check/internal.h \
	src/check/members.c \
	src/check/nodes.c \
	src/check/roots.c \
	src/check/set.c \
	$(NULL)

repair_sources = \
	src/repair/backing.c \
	src/repair/compare.c \
	src/repair/drop.c \
	src/repair/inner.c \
	src/repair/internal.h \
	src/repair/journal.c \
	src/repair/leaves.c \
	src/repair/look.c \
	src/repair/plan.c \
	src/repair/priorities.c \
	src/repair/repair.h \
	src/repair/roots.c \
	src/repair/roots.h \
	src/repair/scan.c \
	src/repair/scan.h \
	src/repair/superblock.c \
	src/repair/uuids.c \
	$(NULL)

cache_sources = \
	src/cache/bypass.c \
	src/cache/bypass.h \
	src/cache/cache_device.h \
	src/cache/cache_set.c \
	src/cache/cache_set.h \
	src/cache/dirty_age.c \
	src/cache/dirty_age.h \
	src/cache/fill.c \
	src/cache/fill.h \
	src/cache/gc.c \
	src/cache/gc.h \
	src/cache/gc_merge.c \
	src/cache/gc_merge.h \
	src/cache/gc_move.c \
	src/cache/gc_move.h \
	src/cache/history.c \
	src/cache/history.h \
	src/cache/ranges.c \
	src/cache/ranges.h \
	src/cache/read.c \
	src/cache/request.c \
	src/cache/request.h \
	src/cache/request_discard.c \
	src/cache/request_internal.h \
	src/cache/request_read.c \
	src/cache/request_report.c \
	src/cache/request_write.c \
	src/cache/sequential.c \
	src/cache/sequential.h \
	src/cache/stats.c \
	src/cache/stats.h \
	src/cache/traffic.h \
	src/cache/volume.c \
	src/cache/volume.h \
	src/cache/volume_superblock.c \
	src/cache/write.c \
	src/cache/write_internal.h \
	src/cache/write_way.c \
	src/cache/writeback.c \
	src/cache/writeback.h \
	src/cache/writeback_copy.c \
	src/cache/writeback_limit.c \
	src/cache/writeback_rate.c \
	src/cache/writeback_rate.h \
	src/cache/writeback_scan.c \
	$(NULL)

lifecycle_sources = \
	src/lifecycle/attach.c \
	src/lifecycle/daemon.c \
	src/lifecycle/daemon.h \
	src/lifecycle/detach.c \
	src/lifecycle/failure.c \
	src/lifecycle/flash.c \
	src/lifecycle/forget.c \
	src/lifecycle/grow.c \
	src/lifecycle/internal.h \
	src/lifecycle/job.c \
	src/lifecycle/members.c \
	src/lifecycle/purge.c \
	src/lifecycle/recover.c \
	src/lifecycle/recover.h \
	src/lifecycle/recover_fresh.c \
	src/lifecycle/recover_replay.c \
	src/lifecycle/recover_walk.c \
	src/lifecycle/register.c \
	src/lifecycle/set_settings.c \
	src/lifecycle/stop.c \
	src/lifecycle/stop_set.c \
	src/lifecycle/stripe_count.c \
	src/lifecycle/superblocks.c \
	src/lifecycle/uuids.c \
	src/lifecycle/waiting.c \
	src/lifecycle/watch.c \
	$(NULL)

control_sources = \
	src/control/control.h \
	src/control/daemon_files.c \
	src/control/daemon_metrics.c \
	src/control/device_files.c \
	src/control/device_metrics.c \
	src/control/facts.c \
	src/control/facts.h \
	src/control/flash_files.c \
	src/control/history_file.c \
	src/control/key_dump.c \
	src/control/key_dump.h \
	src/control/metrics.c \
	src/control/metrics.h \
	src/control/set_files.c \
	src/control/set_internal_files.c \
	src/control/set_metrics.c \
	src/control/stats_files.c \
	src/control/store.c \
	src/control/text.c \
	src/control/text.h \
	src/control/tree.c \
	src/control/tree.h \
	src/control/tree_internal.h \
	src/control/tree_links.c \
	src/control/tree_listings.c \
	src/control/tree_objects.c \
	src/control/tunables.c \
	src/control/tunables.h \
	src/control/volume_files.c \
	src/control/volume_metrics.c \
	src/control/writeback_files.c \
	src/control/writeback_files.h \
	$(NULL)

noinst_LIBRARIES += src/libengine.a
src_libengine_a_SOURCES = \
	$(base_sources) \
	$(format_sources) \
	$(io_sources) \
	$(journal_sources) \
	$(space_sources) \
	$(index_sources) \
	$(check_sources) \
	$(repair_sources) \
	$(cache_sources) \
	$(lifecycle_sources) \
	$(control_sources) \
	$(NULL)

# The outside world.  The simulator has files of the same names in tests/sim, linked in place
# of this library: the same headers, another world.
noinst_LIBRARIES += src/libio.a
src_libio_a_SOURCES = \
	src/io/blocking.c \
	src/io/channel.c \
	src/io/device.c \
	src/io/device_claim.c \
	src/io/device_facts.c \
	src/io/device_internal.h \
	src/io/device_loop.c \
	src/io/device_now.c \
	src/io/exit_report.c \
	src/io/exit_report.h \
	src/io/lock.c \
	src/io/mount_table.c \
	src/io/notify.c \
	src/io/notify.h \
	src/io/own_mount.c \
	src/io/patches.c \
	src/io/path.c \
	src/io/process.c \
	src/io/reactor.c \
	src/io/reactor_internal.h \
	src/io/reactor_memory.c \
	src/io/reactor_posts.c \
	src/io/reactor_time.c \
	src/io/reactor_wait.c \
	src/io/shadow.c \
	src/io/shadow.h \
	src/io/shadow_file.c \
	src/io/shadow_internal.h \
	src/io/shadow_map.c \
	src/io/shadow_queue.c \
	src/io/shadow_sums.c \
	src/io/signals.c \
	src/io/transfer.c \
	src/io/transfer.h \
	src/io/uring.h \
	$(NULL)

# The engine waits in io, and io logs and lists with base: each needs the other.
ENGINE = src/libengine.a src/libio.a src/libengine.a src/libio.a src/libengine.a
ENGINE_LIBS = $(URING_LIBS) $(ISAL_LIBS)

fuse_sources = \
	src/fuse/control_file.c \
	src/fuse/data_file.c \
	src/fuse/data_file.h \
	src/fuse/directory.c \
	src/fuse/inode_attributes.c \
	src/fuse/inodes.c \
	src/fuse/inodes.h \
	src/fuse/library.h \
	src/fuse/session.c \
	src/fuse/session.h \
	src/fuse/session_internal.h \
	src/fuse/session_leave.c \
	src/fuse/session_mount.c \
	src/fuse/session_notify.c \
	src/fuse/transport.c \
	src/fuse/transport.h \
	$(NULL)

tools_sources = \
	src/tools/check.c \
	src/tools/check.h \
	src/tools/check_report.c \
	src/tools/complain.c \
	src/tools/convert.c \
	src/tools/convert.h \
	src/tools/convert_fs.c \
	src/tools/convert_internal.h \
	src/tools/convert_move.c \
	src/tools/convert_start.c \
	src/tools/ctl.c \
	src/tools/daemonize.c \
	src/tools/daemonize.h \
	src/tools/duration.c \
	src/tools/duration.h \
	src/tools/dump.c \
	src/tools/dump.h \
	src/tools/dump_image.c \
	src/tools/dump_lines.c \
	src/tools/export.c \
	src/tools/export_copy.c \
	src/tools/export_copy.h \
	src/tools/export_dirty.c \
	src/tools/export_dirty.h \
	src/tools/export_output.c \
	src/tools/export_output.h \
	src/tools/flush.c \
	src/tools/flush_compare.c \
	src/tools/flush_compare.h \
	src/tools/forget.c \
	src/tools/format.c \
	src/tools/format.h \
	src/tools/format_check.c \
	src/tools/format_options.c \
	src/tools/holders.c \
	src/tools/inspect.c \
	src/tools/inspect.h \
	src/tools/interrupt.c \
	src/tools/interrupt.h \
	src/tools/hilbert.c \
	src/tools/hilbert.h \
	src/tools/import.c \
	src/tools/json.c \
	src/tools/json.h \
	src/tools/live.c \
	src/tools/live.h \
	src/tools/map.c \
	src/tools/map.h \
	src/tools/map_hour.c \
	src/tools/map_json.c \
	src/tools/map_lines.c \
	src/tools/map_members.c \
	src/tools/map_model.c \
	src/tools/map_mount.c \
	src/tools/map_picture.c \
	src/tools/map_source.h \
	src/tools/map_svg.c \
	src/tools/map_svg.h \
	src/tools/map_svg_volume.c \
	src/tools/map_text.c \
	src/tools/member.c \
	src/tools/member.h \
	src/tools/mount.c \
	src/tools/mounted.c \
	src/tools/mounts.c \
	src/tools/mounts.h \
	src/tools/occupant.c \
	src/tools/occupant.h \
	src/tools/overlay.c \
	src/tools/overlay.h \
	src/tools/overlay_commit.c \
	src/tools/offline.c \
	src/tools/offline.h \
	src/tools/patch.c \
	src/tools/patch.h \
	src/tools/progress.c \
	src/tools/progress.h \
	src/tools/remount.c \
	src/tools/repair.c \
	src/tools/repair.h \
	src/tools/repair_apply.c \
	src/tools/repair_copy.c \
	src/tools/repair_report.c \
	src/tools/repair_undo.c \
	src/tools/rescue_map.c \
	src/tools/rescue_map.h \
	src/tools/serve.c \
	src/tools/scramble.c \
	src/tools/scramble.h \
	src/tools/show.c \
	src/tools/status.c \
	src/tools/status.h \
	src/tools/status_json.c \
	src/tools/status_read.c \
	src/tools/status_text.c \
	src/tools/table.c \
	src/tools/table.h \
	src/tools/tools.h \
	src/tools/top.c \
	src/tools/top.h \
	src/tools/top_json.c \
	src/tools/top_model.c \
	src/tools/top_pages.c \
	src/tools/top_screen.c \
	src/tools/umount.c \
	src/tools/verbs.c \
	src/tools/wait.c \
	src/tools/wait.h \
	$(NULL)

bin_PROGRAMS += bcachefuse
bcachefuse_SOURCES = \
	$(fuse_sources) \
	$(tools_sources) \
	src/bcachefuse.c \
	src/options.c \
	src/options.h \
	$(NULL)
bcachefuse_LDADD = $(ENGINE) $(FUSE_LIBS) $(UUID_LIBS) $(BLKID_LIBS) $(NCURSES_LIBS) $(ENGINE_LIBS)
