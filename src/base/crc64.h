/*
 * The checksum of all metadata: CRC-64 with polynomial 0x42f0e1eba9ea3693,
 * most significant bit first, init and final xor all ones (CRC-64/WE).
 *
 * By ISA-L where it was found at build time, by our own slice-by-8 otherwise;
 * the own one is always there, so that a test can compare them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t crc64(const void *data, size_t bytes);
/* As crc64(), with another initial value; what bsets of version 1 use. */
uint64_t crc64_seeded(uint64_t seed, const void *data, size_t bytes);
/* Our own, for the test that compares both. */
uint64_t crc64_slice8(uint64_t seed, const void *data, size_t bytes);
