# The manual pages, written by hand in mdoc: nothing is needed to build them.
dist_man_MANS += \
	man/bcachefuse.8 \
	man/bcachefuse-control.7 \
	man/bcachefuse-format.5 \
	man/bcachefuse-check.8 \
	man/bcachefuse-convert.8 \
	man/bcachefuse-dump.8 \
	man/bcachefuse-export.8 \
	man/bcachefuse-forget.8 \
	man/bcachefuse-import.8 \
	man/bcachefuse-flush.8 \
	man/bcachefuse-ctl.8 \
	man/bcachefuse-map.8 \
	man/bcachefuse-overlay.8 \
	man/bcachefuse-show.8 \
	man/bcachefuse-repair.8 \
	man/bcachefuse-status.8 \
	man/bcachefuse-top.8 \
	man/bcachefuse-wait.8 \
	man/mount.bcachefuse.8 \
	$(NULL)
