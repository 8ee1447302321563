/*
 * The checksum of all metadata.
 *
 * A CRC is linear: the effect of a byte is the xor of the effects of its bits.  Slice-by-8
 * processes eight bytes at once, and needs for each of the eight positions a table with
 * the effect of every byte there.  The compiler computes the tables from single bits: bit
 * b, followed by n bytes, contributes x^(64 + 8n + b) modulo the polynomial.
 */
#include "base/crc64.h"

#include <endian.h>
#include <string.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifdef HAVE_ISAL
#include <isa-l/crc64.h>
#endif

#define BITS_0 0x42f0e1eba9ea3693, 0x85e1c3d753d46d26, 0x493366450e42ecdf, 0x9266cc8a1c85d9be, \
	       0x663d78ff90e185ef, 0xcc7af1ff21c30bde, 0xda050215ea6c212f, 0xf6fae5c07d3274cd
#define BITS_1 0xaf052a6b538edf09, 0x1cfab53d0ef78881, 0x39f56a7a1def1102, 0x73ead4f43bde2204, \
	       0xe7d5a9e877bc4408, 0x8d5bb23b4692be83, 0x5847859d24cf4b95, 0xb08f0b3a499e972a
#define BITS_2 0x23eef79f3ad718c7, 0x47ddef3e75ae318e, 0x8fbbde7ceb5c631c, 0x5d875d127f52f0ab, \
	       0xbb0eba24fea5e156, 0x34ed95a254a1f43f, 0x69db2b44a943e87e, 0xd3b656895287d0fc
#define BITS_3 0xe59c4cf90ce5976b, 0x89c87819b0211845, 0x516011d8c9a80619, 0xa2c023b193500c32, \
	       0x0770a6888f4a2ef7, 0x0ee14d111e945dee, 0x1dc29a223d28bbdc, 0x3b8534447a5177b8
#define BITS_4 0x770a6888f4a2ef70, 0xee14d111e945dee0, 0x9ed943c87b618b53, 0x7f42667b5f292035, \
	       0xfe84ccf6be52406a, 0xbff97806d54eb647, 0x3d0211e603775a1d, 0x7a0423cc06eeb43a
#define BITS_5 0xf40847980ddd6874, 0xaae06edbb250e67b, 0x17303c5ccd4bfa65, 0x2e6078b99a97f4ca, \
	       0x5cc0f173352fe994, 0xb981e2e66a5fd328, 0x31f324277d5590c3, 0x63e6484efaab2186
#define BITS_6 0xc7cc909df556430c, 0xcd69c0d04346b08b, 0xd823604b2f675785, 0xf2b6217df7249999, \
	       0xa79ca31047a305a1, 0x0dc9a7cb26ac3dd1, 0x1b934f964d587ba2, 0x37269f2c9ab0f744
#define BITS_7 0x6e4d3e593561ee88, 0xdc9a7cb26ac3dd10, 0xfbc4188f7c6d8cb3, 0xb578d0f551312ff5, \
	       0x280140010b886979, 0x500280021710d2f2, 0xa00500042e21a5e4, 0x02fae1e3f5a97d5b

#define BIT(n, b, value) ((n) >> (b) & 1 ? UINT64_C(value) : 0)
#define BYTE(n, b0, b1, b2, b3, b4, b5, b6, b7) \
	(BIT(n, 0, b0) ^ BIT(n, 1, b1) ^ BIT(n, 2, b2) ^ BIT(n, 3, b3) ^ \
	 BIT(n, 4, b4) ^ BIT(n, 5, b5) ^ BIT(n, 6, b6) ^ BIT(n, 7, b7))
#define BYTES_4(n, ...) BYTE(n, __VA_ARGS__), BYTE(n + 1, __VA_ARGS__), \
			BYTE(n + 2, __VA_ARGS__), BYTE(n + 3, __VA_ARGS__)
#define BYTES_16(n, ...) BYTES_4(n, __VA_ARGS__), BYTES_4(n + 4, __VA_ARGS__), \
			 BYTES_4(n + 8, __VA_ARGS__), BYTES_4(n + 12, __VA_ARGS__)
#define BYTES_64(n, ...) BYTES_16(n, __VA_ARGS__), BYTES_16(n + 16, __VA_ARGS__), \
			 BYTES_16(n + 32, __VA_ARGS__), BYTES_16(n + 48, __VA_ARGS__)
#define BYTES_256(...) { BYTES_64(0, __VA_ARGS__), BYTES_64(64, __VA_ARGS__), \
			 BYTES_64(128, __VA_ARGS__), BYTES_64(192, __VA_ARGS__) }

/* The effect of a byte on the checksum if `place` other bytes follow it. */
static const uint64_t effect[8][256] = {
	BYTES_256(BITS_0), BYTES_256(BITS_1), BYTES_256(BITS_2), BYTES_256(BITS_3),
	BYTES_256(BITS_4), BYTES_256(BITS_5), BYTES_256(BITS_6), BYTES_256(BITS_7),
};

static uint64_t next_word(uint64_t crc, const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	crc ^= be64toh(word);
	return effect[7][crc >> 56] ^ effect[6][crc >> 48 & 255] ^
	       effect[5][crc >> 40 & 255] ^ effect[4][crc >> 32 & 255] ^
	       effect[3][crc >> 24 & 255] ^ effect[2][crc >> 16 & 255] ^
	       effect[1][crc >> 8 & 255] ^ effect[0][crc & 255];
}

static uint64_t next_byte(uint64_t crc, uint8_t byte)
{
	return crc << 8 ^ effect[0][crc >> 56 ^ byte];
}

uint64_t crc64_slice8(uint64_t seed, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t crc = seed;

	for (; bytes >= 8; bytes -= 8, at += 8)
		crc = next_word(crc, at);
	for (; bytes; bytes--, at++)
		crc = next_byte(crc, *at);
	return ~crc;
}

uint64_t crc64_seeded(uint64_t seed, const void *data, size_t bytes)
{
#ifdef HAVE_ISAL
	return crc64_ecma_norm(~seed, data, bytes);	/* ISA-L inverts what it is given */
#else
	return crc64_slice8(seed, data, bytes);
#endif
}

uint64_t crc64(const void *data, size_t bytes)
{
	return crc64_seeded(~UINT64_C(0), data, bytes);
}
