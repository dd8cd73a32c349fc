/* Doubly and singly linked lists: entries live in the client's structures. */
#ifndef UMNET_LIST_H
#define UMNET_LIST_H

#pragma GCC system_header

#include "base.h"

UMNET_EXTERN_C_BEGIN

UMNET_INLINE VOID InitializeListHead(PLIST_ENTRY head)
{
    head->Flink = head->Blink = head;
}

UMNET_INLINE BOOLEAN IsListEmpty(const LIST_ENTRY *head)
{
    return head->Flink == head;
}

/* TRUE when the list is empty afterwards. */
UMNET_INLINE BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
    PLIST_ENTRY next = entry->Flink, previous = entry->Blink;
    previous->Flink = next;
    next->Blink = previous;
    return next == previous;
}

UMNET_INLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Flink;
    RemoveEntryList(entry);
    return entry;
}

UMNET_INLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Blink;
    RemoveEntryList(entry);
    return entry;
}

UMNET_INLINE VOID UmnetListInsert(PLIST_ENTRY previous, PLIST_ENTRY entry, PLIST_ENTRY next)
{
    entry->Flink = next;
    entry->Blink = previous;
    previous->Flink = entry;
    next->Blink = entry;
}

UMNET_INLINE VOID InsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    UmnetListInsert(head, entry, head->Flink);
}

UMNET_INLINE VOID InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    UmnetListInsert(head->Blink, entry, head);
}

/* Joins the list whose head is `other` to the end of `head`'s; `other` stays
 * linked, as an entry. */
UMNET_INLINE VOID AppendTailList(PLIST_ENTRY head, PLIST_ENTRY other)
{
    PLIST_ENTRY last = head->Blink;
    head->Blink->Flink = other;
    head->Blink = other->Blink;
    other->Blink->Flink = head;
    other->Blink = last;
}

UMNET_INLINE VOID PushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry)
{
    entry->Next = head->Next;
    head->Next = entry;
}

UMNET_INLINE PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY head)
{
    PSINGLE_LIST_ENTRY first = head->Next;
    if (first)
        head->Next = first->Next;
    return first;
}

UMNET_EXTERN_C_END

#endif
