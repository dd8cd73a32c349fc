/*
 * Nothing but words: what sources for Windows take for granted, in C++. It is
 * compiled for its warnings, and has its verdict in DriverEntry.
 */
#include <ntddk.h>
#include <wdf.h>
#include <netadaptercx.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

#define GOTO_IF_NOT_NT_SUCCESS(label, status, expression) \
    do { \
        (status) = (expression); \
        if (!NT_SUCCESS(status)) \
            goto label; \
    } while (0)

DECLSPEC_ALIGN(64) static UCHAR Aligned[64];

#pragma clang diagnostic ignored "-Wmicrosoft-goto"

/* The jump passes the initialisation of `address`. */
static NTSTATUS Check(NTSTATUS wanted)
{
    NTSTATUS status = STATUS_SUCCESS;
    GOTO_IF_NOT_NT_SUCCESS(Exit, status, wanted);
    {
        std::vector<int> numbers{3, 1, 2};
        std::sort(numbers.begin(), numbers.end());
        GOTO_IF_NOT_NT_SUCCESS(Exit, status, numbers[0] == 1 && min(numbers[1], 5) == 2 ? STATUS_SUCCESS : STATUS_BAD_DATA);
    }
    ULONG_PTR const address = reinterpret_cast<ULONG_PTR>(Aligned);
    GOTO_IF_NOT_NT_SUCCESS(Exit, status, address % 64 == 0 ? STATUS_SUCCESS : STATUS_DATATYPE_MISALIGNMENT);
Exit:
    return status;
}

struct Thrown {
};

extern "C" NTSTATUS DriverEntry(PDRIVER_OBJECT, PUNICODE_STRING)
{
    try {
        throw Thrown();
    } catch (Thrown const &) {
        bool const right = Check(STATUS_SUCCESS) == STATUS_SUCCESS && Check(STATUS_BAD_DATA) == STATUS_BAD_DATA;
        DbgPrint("lenient: %s", right ? "all as on Windows" : "something differs");
    }
    return STATUS_CANCELLED;
}
