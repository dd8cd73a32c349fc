/*
 * Threads, locks and waits as clients for user mode use them. The verdict is
 * in DriverEntry; there is no driver.
 */
#include <windows.h>
#include <wdf.h>
#include <netadaptercx.h>

#define WORKERS 4
#define ROUNDS 500

static CRITICAL_SECTION Section;
static CONDITION_VARIABLE Changed = CONDITION_VARIABLE_INIT;
static INIT_ONCE Once = INIT_ONCE_STATIC_INIT;
static LONG Made;
static ULONG Turn, Sum, Wrong;

static VOID Expect(BOOL truth, PCSTR what)
{
    if (!truth) {
        DbgPrint("runtime: wrong: %s", what);
        Wrong++;
    }
}

static BOOL Make(PINIT_ONCE once, PVOID parameter, PVOID *context)
{
    UNREFERENCED_PARAMETER(once);
    InterlockedIncrement(&Made);
    Sleep(2);
    *context = parameter;
    return TRUE;
}

/* Threads take turns: each waits until it is its own, in a section entered twice. */
static DWORD Work(PVOID context)
{
    ULONG const me = PtrToUlong(context);
    ULONG round;
    PVOID made = NULL;
    Expect(InitOnceExecuteOnce(&Once, Make, &Once, &made) && made == &Once, "what was made once");
    for (round = 0; round < ROUNDS; round++) {
        EnterCriticalSection(&Section);
        EnterCriticalSection(&Section);
        while (Turn != me)
            Expect(SleepConditionVariableCS(&Changed, &Section, 10000), "a turn");
        Sum++;
        Turn = (Turn + 1) % WORKERS;
        WakeAllConditionVariable(&Changed);
        LeaveCriticalSection(&Section);
        LeaveCriticalSection(&Section);
    }
    return me;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    HANDLE threads[WORKERS], event;
    SYSTEM_INFO info;
    ULONG index;
    UNREFERENCED_PARAMETER(driver);
    UNREFERENCED_PARAMETER(path);
    Expect(InitializeCriticalSectionEx(&Section, 4000, 0), "a section");
    for (index = 0; index < WORKERS; index++)
        threads[index] = CreateThread(NULL, 0, Work, UlongToPtr(index), 0, NULL);
    Expect(WaitForMultipleObjectsEx(WORKERS, threads, TRUE, 20000, TRUE) == WAIT_OBJECT_0, "the end");
    for (index = 0; index < WORKERS; index++)
        CloseHandle(threads[index]);
    Expect(Sum == WORKERS * ROUNDS && Made == 1, "the sums");
    EnterCriticalSection(&Section);
    Expect(!SleepConditionVariableCS(&Changed, &Section, 1) && GetLastError() == ERROR_TIMEOUT, "patience");
    LeaveCriticalSection(&Section);
    DeleteCriticalSection(&Section);
    event = CreateEventEx(NULL, NULL, CREATE_EVENT_INITIAL_SET, EVENT_ALL_ACCESS);
    Expect(WaitForSingleObjectEx(event, 0, FALSE) == WAIT_OBJECT_0, "a set event");
    Expect(WaitForSingleObjectEx(event, 0, FALSE) == WAIT_TIMEOUT, "which resets itself");
    CloseHandle(event);
    GetSystemInfo(&info);
    Expect(info.dwNumberOfProcessors >= 1 && info.dwPageSize == 4096 && (info.dwActiveProcessorMask & 1), "the machine");
    DbgPrint("runtime: %u wrong", Wrong);
    return STATUS_CANCELLED;
}
