/*
 * Parses and prints numbers, sizes, choices and UUIDs.
 *
 * As strict as the kernel: no blanks, no minus sign, nothing after a number but one newline.
 * Stricter for UUIDs: the kernel pads short ones with zeros.
 */
#include "base/units.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Each step divides by 1024 and is made while the number has more than three digits, but
 * at least once; the digit behind the point is cut off from the last remainder. */
const char *units_print_size(char text[UNITS_TEXT_BYTES], int64_t bytes)
{
	static const char letters[] = "?kMGTPEZY";
	uint64_t value = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
	unsigned unit = 0, rest;

	do {
		unit++;
		rest = value & 1023;
		value >>= 10;
	} while (value >= 1000);
	snprintf(text, UNITS_TEXT_BYTES, "%s%u.%u%c", bytes < 0 ? "-" : "", (unsigned)value,
		 rest * 10 / 1024, letters[unit]);
	return text;
}

static bool is_end(const char *text)
{
	return !*text || (text[0] == '\n' && !text[1]);
}

/* Reads digits; returns the rest of the text, NULL if there are none. */
static const char *parse_digits(const char *text, uint64_t *value, bool *overflow)
{
	const char *start = text;

	*value = 0;
	*overflow = false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, *text - '0', value))
			*overflow = true;
	return text == start ? NULL : text;
}

int units_parse_number(const char *text, uint64_t *value)
{
	uint64_t number;
	bool overflow;
	const char *end = parse_digits(*text == '+' ? text + 1 : text, &number, &overflow);

	if (overflow)
		return -ERANGE;
	if (!end || !is_end(end))
		return -EINVAL;
	*value = number;
	return 0;
}

/* The power of 1024 of a suffix; 0 if it is none.  From z on, only 0 fits into 64 bits. */
static unsigned power_of(char letter)
{
	static const char letters[] = "kmgtpezy";
	const char *found = letter ? strchr(letters, tolower((unsigned char)letter)) : NULL;

	return found ? found - letters + 1 : 0;
}

int units_parse_size(const char *text, uint64_t *bytes)
{
	uint64_t number;
	bool overflow;
	const char *end;
	unsigned power;

	end = parse_digits(*text == '+' ? text + 1 : text, &number, &overflow);
	if (!end)
		return -EINVAL;
	power = power_of(*end);
	if (power)
		end++;
	if (!is_end(end) || overflow)
		return -EINVAL;
	for (; power; power--)
		if (__builtin_mul_overflow(number, 1024, &number))
			return -EINVAL;
	*bytes = number;
	return 0;
}

int units_parse_bool(const char *text, bool *value)
{
	uint64_t number;
	int error = units_parse_number(text, &number);

	if (!error)
		*value = number;
	return error;
}

int units_parse_choice(const char *text, const char *const *names)
{
	size_t length = strlen(text);

	if (length && text[length - 1] == '\n')
		length--;
	for (int i = 0; names[i]; i++)
		if (strlen(names[i]) == length && !memcmp(names[i], text, length))
			return i;
	return -EINVAL;
}

void units_print_choice(char *text, size_t bytes, const char *const *names, int chosen)
{
	size_t used = 0;

	assert(bytes);
	*text = '\0';
	for (int i = 0; names[i] && used < bytes; i++)
		used += snprintf(text + used, bytes - used, i == chosen ? "%s[%s]" : "%s%s",
				 i ? " " : "", names[i]);
}

static int digit_of(char character)
{
	if (isdigit((unsigned char)character))
		return character - '0';
	return isxdigit((unsigned char)character) ? tolower((unsigned char)character) - 'a' + 10
						  : -1;
}

int units_parse_uuid(const char *text, uint8_t uuid[16])
{
	uint8_t parsed[16] = { 0 };
	unsigned digits = 0;

	for (; digits < 32; text++) {
		if (*text == '-' || *text == ':')
			continue;
		if (digit_of(*text) < 0)
			return -EINVAL;
		parsed[digits / 2] |= digit_of(*text) << (digits % 2 ? 0 : 4);
		digits++;
	}
	if (!is_end(text))
		return -EINVAL;
	memcpy(uuid, parsed, sizeof(parsed));
	return 0;
}

const char *units_print_uuid(char text[40], const uint8_t uuid[16])
{
	char *at = text;

	for (int i = 0; i < 16; i++)
		at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
			      uuid[i]);
	return text;
}
