/* Handles, callbacks, names and types of contexts. */
#pragma once

#include "input.hpp"

/* Types whose values are looked up and never followed. WDFOBJECT is a PVOID, and so are contexts. */
template <class T> struct IsHandle : std::false_type {};
#define HANDLE_TYPE(type) template <> struct IsHandle<type> : std::true_type {};
HANDLE_TYPE(PVOID)
HANDLE_TYPE(WDFDRIVER)
HANDLE_TYPE(WDFDEVICE)
HANDLE_TYPE(PWDFDEVICE_INIT)
HANDLE_TYPE(WDFQUEUE)
HANDLE_TYPE(WDFREQUEST)
HANDLE_TYPE(WDFFILEOBJECT)
HANDLE_TYPE(WDFIOTARGET)
HANDLE_TYPE(WDFMEMORY)
HANDLE_TYPE(WDFSPINLOCK)
HANDLE_TYPE(WDFWAITLOCK)
HANDLE_TYPE(WDFTIMER)
HANDLE_TYPE(WDFWORKITEM)
HANDLE_TYPE(WDFDPC)
HANDLE_TYPE(WDFCOLLECTION)
HANDLE_TYPE(WDFSTRING)
HANDLE_TYPE(WDFKEY)
HANDLE_TYPE(WDFINTERRUPT)
HANDLE_TYPE(WDFCMRESLIST)
HANDLE_TYPE(WDFDMAENABLER)
HANDLE_TYPE(WDFCOMMONBUFFER)
HANDLE_TYPE(NETADAPTER_INIT *)
HANDLE_TYPE(NETTXQUEUE_INIT *)
HANDLE_TYPE(NETRXQUEUE_INIT *)
HANDLE_TYPE(NETADAPTER)
HANDLE_TYPE(NETPACKETQUEUE)
HANDLE_TYPE(NETCONFIGURATION)
HANDLE_TYPE(NETRECEIVEFILTER)
HANDLE_TYPE(NETOFFLOAD)
HANDLE_TYPE(NETEXECUTIONCONTEXT)
HANDLE_TYPE(NETPOWEROFFLOAD)
HANDLE_TYPE(NETWAKESOURCE)
#undef HANDLE_TYPE

template <class T> void Learn(T value)
{
    if constexpr (IsHandle<T>::value)
        Game.Learn(KindOf<T>(), (void *)value);
}

/* A callback that does something now and then, and mostly succeeds. */
template <class R, class... A> R Quiet(A... arguments)
{
    (Learn(arguments), ...);
    if (!Mine)
        return R();
    if (Mine->Depth < 3)
        Calls(Mine->Byte() % 4);
    if constexpr (!std::is_void_v<R>)
        return Mine->Byte() % 8 == 7 ? (R)Mine->Number() : R();
}

template <class R, class... A> void Put(R (*&place)(A...))
{
    place = Mine->Byte() % 4 ? Quiet<R, A...> : nullptr;
}

template <class T> std::enable_if_t<IsHandle<T>::value> Put(T &place)
{
    place = (T)Game.Pick(KindOf<T>());
}

/* The client's own types of contexts. The last two are not what they should be. */
static WDF_OBJECT_CONTEXT_TYPE_INFO const Contexts[] = {
    { sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), "SMALL", 8, &Contexts[0], nullptr },
    { sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), "LARGE", 300, &Contexts[1], nullptr },
    { sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), "NONE", 0, nullptr, nullptr },
    { sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), nullptr, 16, nullptr, nullptr },
    { sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO) - 1, "SHORT", 16, nullptr, nullptr },
};

inline WDF_OBJECT_CONTEXT_TYPE_INFO const *AnyContext()
{
    uint8_t choice = Mine->Byte() % 10;
    return choice < 5 ? &Contexts[choice] : choice < 9 ? &Contexts[choice % 2] : nullptr;
}

/* Contexts and memory get as large as one may ask, but not so large that the game's end is all
 * there is room for: a few kilobytes, or more than is ever given. */
inline size_t Moderate(uint64_t bytes)
{
    return bytes < (1ull << 40) ? bytes % 8192 : bytes;
}

inline wchar_t const *AnyName()
{
    static wchar_t const *const names[] = { L"", L"Queues", L"Text", L"Texts", L"Bytes", L"NetworkAddress", L"x", nullptr,
        NET_PACKET_EXTENSION_CHECKSUM_NAME, NET_PACKET_EXTENSION_GSO_NAME, NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME };
    return names[Mine->Byte() % (sizeof(names) / sizeof(names[0]))];
}

