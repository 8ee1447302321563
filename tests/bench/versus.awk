# Prints the table of tests/bench/versus.  Lines: workload name round iops microseconds-of-CPU.

function median(list,	a, i, j, n, swap)
{
	n = split(list, a, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
			swap = a[j]
			a[j] = a[j - 1]
			a[j - 1] = swap
		}
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}

# The median, over all rounds, of TABLE's value for one name by that for another.
function ratio(table, work, name, base,	r, list)
{
	for (r = 1; r <= rounds; r++)
		if (table[work, base, r] > 0)
			list = list " " table[work, name, r] / table[work, base, r]
	return list == "" ? 0 : median(list)
}

function all(table, work, name,	r, list)
{
	for (r = 1; r <= rounds; r++)
		list = list " " table[work, name, r]
	return median(list)
}

{
	iops[$1, $2, $3] = $4
	cpu[$1, $2, $3] = $5
	if ($3 > rounds)
		rounds = $3
}

END {
	printf "%-6s %9s %9s %9s | %9s %9s %7s | %7s %7s %7s\n", "", "limit/s", "old/s", "new/s",
		"old/limit", "new/limit", "new/old", "CPU old", "CPU new", "new/old"
	n = split(workloads, work, " ")
	for (w = 1; w <= n; w++)
		printf "%-6s %9.0f %9.0f %9.0f | %9.2f %9.2f %7.2f | %7.2f %7.2f %7.2f\n",
			work[w], all(iops, work[w], "limit"), all(iops, work[w], "old"),
			all(iops, work[w], "new"), ratio(iops, work[w], "old", "limit"),
			ratio(iops, work[w], "new", "limit"), ratio(iops, work[w], "new", "old"),
			all(cpu, work[w], "old"), all(cpu, work[w], "new"),
			ratio(cpu, work[w], "new", "old")
}
