# Prints the tables and the summary of what tests/bench/bench has measured.
#
# Lines: workload target round iops MB/s p50 p99 fioCPU daemonCPU others, where "others" counts
# reads that were no plain hits, or blocks that were not left dirty, or is "-".  Ratios are medians
# of the ratios of each round, since a machine may be slower in the one round than in the other.

function median(list,	a, i, j, n, swap)
{
	n = split(list, a, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
			swap = a[j]
			a[j] = a[j - 1]
			a[j - 1] = swap
		}
	if (!n)
		return ""
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}

function ratio(work, target, base,	r, list)
{
	for (r = 1; r <= rounds; r++)
		if (iops[work, base, r] > 0 && (work, target, r) in iops)
			list = list " " iops[work, target, r] / iops[work, base, r]
	return list == "" ? "" : median(list)
}

function show(value)
{
	return value == "" ? "-" : sprintf("%.2f", value)
}

function row(work, target,	k)
{
	k = work SUBSEP target
	printf "%-11s %9.0f %8.1f %8.1f %9.1f %7.2f %7.2f %6s %6s %6s\n", target,
		median(value[k, 4]), median(value[k, 5]), median(value[k, 6]),
		median(value[k, 7]), median(value[k, 8]), median(value[k, 9]),
		show(ratio(work, target, "raw")), show(ratio(work, target, "limit")),
		show(ratio(work, target, "qemu"))
}

function aim(work, to_limit, to_qemu,	text, least)
{
	least = work ~ /^rr|^sr/ ? 0.9 : work ~ /^rw/ ? 0.7 : 0
	if (least && to_limit != "")
		text = text sprintf("; aim %.1f of the limit: %s", least,
				    to_limit >= least ? "met" : "MISSED")
	if (work == "rr32" && to_qemu != "")
		text = text sprintf("; aim 4 times QEMU: %s", to_qemu >= 4 ? "met" : "MISSED")
	return text
}

function summary(work,	to_raw, to_limit, to_qemu, hits)
{
	to_raw = ratio(work, "bcachefuse", "raw")
	to_limit = ratio(work, "bcachefuse", "limit")
	to_qemu = ratio(work, "bcachefuse", "qemu")
	if (work ~ /w/)
		hits = others[work] ? "; " others[work] " blocks were NOT left dirty" : \
		       "; all that was written is dirty"
	else
		hits = others[work] ? "; " others[work] " reads were NO hits" : \
		       "; all reads were hits"
	printf "%s: %s of raw, %s of the bare FUSE limit, %s times QEMU%s%s\n", work,
		show(to_raw), show(to_limit), show(to_qemu), hits, aim(work, to_limit, to_qemu)
}

BEGIN {
	FS = "\t"
}

{
	k = $1 SUBSEP $2
	if (!(k in seen)) {
		seen[k] = 1
		targets[$1] = targets[$1] " " $2
	}
	for (i = 4; i <= 9; i++)
		value[k, i] = value[k, i] " " $i
	iops[$1, $2, $3] = $4
	if ($10 != "-")
		others[$1] += $10
	if ($3 > rounds)
		rounds = $3
}

END {
	n = split(workloads, work, " ")
	for (w = 1; w <= n; w++) {
		if (!(work[w] in targets))
			continue
		printf "\n## %s\n%-11s %9s %8s %8s %9s %7s %7s %6s %6s %6s\n", work[w],
			"target", "iops", "MB/s", "p50us", "p99us", "fioCPU", "dmnCPU",
			"/raw", "/limit", "/qemu"
		m = split(targets[work[w]], target, " ")
		for (i = 1; i <= m; i++)
			row(work[w], target[i])
	}
	print ""
	for (w = 1; w <= n; w++)
		if ((work[w], "bcachefuse") in seen)
			summary(work[w])
}
