/* Small arithmetic helpers on 64-bit numbers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline bool is_power_of_two(uint64_t n) { return n && !(n & (n - 1)); }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t clamp_u64(uint64_t n, uint64_t low, uint64_t high)
{
	return n < low ? low : n > high ? high : n;
}
static inline uint64_t divide_up(uint64_t n, uint64_t by) { return (n + by - 1) / by; }
static inline uint64_t round_up(uint64_t n, uint64_t to) { return divide_up(n, to) * to; }
static inline uint64_t round_down(uint64_t n, uint64_t to) { return n / to * to; }
