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
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * The kernel's answer as it is, -errno if it failed.  libc would put that into errno, which a
 * signal may overwrite before it is looked at: UML's handlers read until EAGAIN.  So now and
 * then a set was not completed, and a process of the guest died of SIGSEGV.
 */
static long ask(long request, pid_t pid, void *address, void *data)
{
	register void *r10 __asm__("r10") = data;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"((long)SYS_ptrace), "D"(request), "S"((long)pid), "d"(address),
			   "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static unsigned char full[64 << 10];

/* Not on the stack: the guest's kernel stacks are small. */
static long set_completed(pid_t pid, void *type, const struct iovec *given)
{
	struct iovec whole = { .iov_base = full, .iov_len = sizeof(full) };
	long result = ask(PTRACE_GETREGSET, pid, type, &whole);

	if (result)
		return result;
	if (given->iov_len >= whole.iov_len)
		return -EFAULT;
	memcpy(full, given->iov_base, given->iov_len);
	return ask(PTRACE_SETREGSET, pid, type, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list list;
	pid_t pid;
	void *address, *data;
	long result, word = 0;
	bool is_peek;

	va_start(list, request);
	pid = va_arg(list, pid_t);
	address = va_arg(list, void *);
	data = va_arg(list, void *);
	va_end(list);
	is_peek = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA ||
		  request == PTRACE_PEEKUSER;
	result = ask(request, pid, address, is_peek ? &word : data);
	if (result == -EFAULT && request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
		result = set_completed(pid, address, data);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	if (!is_peek)
		return result;
	errno = 0;	/* as libc has it */
	return word;
}
