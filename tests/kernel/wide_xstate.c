/*
 * Preloaded into User Mode Linux: lets it run on processors with more state than it knows.
 *
 * The kernel in the guest keeps 2 or 3 KiB of a process's vector registers and sets
 * them by PTRACE_SETREGSET; a host with AMX has 11 KiB and refuses less (EFAULT),
 * so that the guest dies before its first process runs.  Here the set that is too
 * short is completed from what the process has.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned char full[64 << 10];

/* Not on the stack: the guest's kernel stacks are small. */
static long set_completed(pid_t pid, void *type, const struct iovec *given)
{
	struct iovec whole = { .iov_base = full, .iov_len = sizeof(full) };

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, type, &whole))
		return -1;
	if (given->iov_len >= whole.iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(full, given->iov_base, given->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, type, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	pid_t pid;
	void *address, *data;
	long result, word;

	va_start(list, request);
	pid = va_arg(list, pid_t);
	address = va_arg(list, void *);
	data = va_arg(list, void *);
	va_end(list);
	switch (request) {
	case PTRACE_PEEKTEXT: case PTRACE_PEEKDATA: case PTRACE_PEEKUSER:
		/* As libc has it: the word is what is returned. */
		result = syscall(SYS_ptrace, request, pid, address, &word);
		if (result < 0)
			return result;
		errno = 0;
		return word;
	default:
		result = syscall(SYS_ptrace, request, pid, address, data);
	}
	if (result && errno == EFAULT && request == PTRACE_SETREGSET &&
	    address == (void *)NT_X86_XSTATE)
		return set_completed(pid, address, data);
	return result;
}
