/*
 * What a client does that has been taken over, or that nobody has tested: asked for by the control
 * codes of device.c, which is built with ROGUE.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CRASH = 100, OPEN, CONNECT, EXECUTE, EXECUTABLE, MEMORY, HANG };

volatile int Hanging;

static int Outcome(int result)
{
    return result < 0 ? errno : 0;
}

static int Map(int protection)
{
    void *page = mmap(0, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? errno : 0;
}

/* 0, or an errno. */
int Rogue(unsigned code)
{
    static char *const words[] = {"/bin/true", 0};
    switch (code) {
    case CRASH:
        *(volatile int *)8 = 1;
        return 0;
    case OPEN:
        return Outcome(open("/etc/hostname", O_RDONLY));
    case CONNECT:
        return Outcome(socket(AF_INET, SOCK_STREAM, 0));
    case EXECUTE:
        return Outcome(execve(words[0], words, words + 1));
    case EXECUTABLE:
        return Map(PROT_READ | PROT_EXEC);
    case MEMORY:
        return Map(PROT_READ | PROT_WRITE);
    case HANG:
        Hanging = 1;
        return 0;
    default:
        return ENOSYS;
    }
}
