/*
 * Faults of time and of memory: callbacks that take too long, queues that give
 * nothing back, buffers written at the wrong time or place.
 */
#include "faulty.h"

static void Complete(SCENE *scene)
{
    scene->Packets->BeginIndex = scene->Packets->EndIndex;
    scene->Fragments->BeginIndex = scene->Fragments->EndIndex;
}

static void NeverReturn(SCENE *scene)
{
    UNREFERENCED_PARAMETER(scene);
    for (;;)
        Sleep(1000);
}

/* Longer than a queue may take in a run with --client-timeout 4, shorter than for ever. */
static void Dawdle(SCENE *scene)
{
    if (scene->Turn == 0)
        Sleep(800);
    Complete(scene);
}

static void Withhold(SCENE *scene)
{
    UNREFERENCED_PARAMETER(scene);
}

static void CompletePacketsOnly(SCENE *scene)
{
    scene->Packets->BeginIndex = scene->Packets->EndIndex;
}

/* A frame about twice a second, which nobody is told of. */
static void ReceiveSilently(SCENE *scene)
{
    static ULONGLONG last;
    ULONGLONG now = GetTickCount64();
    if (now - last < 600)
        return;
    last = now;
    WasArmed();
    Receive(scene, 1);
}

static void WriteBehind(SCENE *scene)
{
    BytesAt(scene, 0)[FragmentAt(scene, 0)->Capacity] ^= 0xff;
    Receive(scene, 1);
}

static void WriteInFront(SCENE *scene)
{
    BytesAt(scene, 0)[-1] ^= 0xff;
    Complete(scene);
}

static PUCHAR volatile Returned;

static DWORD WINAPI WriteForever(LPVOID unused)
{
    UNREFERENCED_PARAMETER(unused);
    for (UCHAR value = 0;; value++)
        *(UCHAR volatile *)Returned = value;
}

static void KeepWriting(PUCHAR bytes)
{
    BOOLEAN first = Returned == NULL;
    Returned = bytes;
    if (first)
        CloseHandle(CreateThread(NULL, 0, WriteForever, NULL, 0, NULL));
}

static void WriteReceived(SCENE *scene)
{
    PUCHAR bytes = BytesAt(scene, 0);
    Receive(scene, 1);
    KeepWriting(bytes);
}

static void WriteSent(SCENE *scene)
{
    PUCHAR bytes = BytesAt(scene, 0);
    Complete(scene);
    KeepWriting(bytes);
}

static void SayNothing(SCENE *scene)
{
    UNREFERENCED_PARAMETER(scene);
}

const FAULT PaceFaults[] = {
    { "ShimCallbackStuck", AT_TX_ADVANCE, NeverReturn },
    { "ShimCallbackStuck/cancel", AT_RX_CANCEL, NeverReturn },
    { "ShimCallbackStuck/prepare", AT_PREPARE, NeverReturn },
    { "ShimCallbackOverBudget", AT_TX_ADVANCE, Dawdle },
    { "ShimQueueNotIdle", AT_RX_CANCEL, Withhold },
    { "ShimQueueNotIdle/tx", AT_TX_ADVANCE, Withhold },
    { "ShimQueueNotIdle/tx", AT_TX_CANCEL, Withhold },
    { "ShimTxFragmentsNotReturned", AT_TX_ADVANCE, CompletePacketsOnly },
    { "ShimArmedNeverNotified", AT_RX_ADVANCE, ReceiveSilently },
    { "ShimBufferOverrun", AT_RX_ADVANCE, WriteBehind },
    { "ShimBufferOverrun/tx", AT_TX_ADVANCE, WriteInFront },
    { "ShimUseAfterCompletion", AT_RX_ADVANCE, WriteReceived },
    { "ShimUseAfterCompletion/tx", AT_TX_ADVANCE, WriteSent },
    { "ShimLinkStateNeverSet", AT_LINK, SayNothing },
    { NULL, AT_PREPARE, NULL }
};
