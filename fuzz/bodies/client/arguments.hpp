/*
 * An argument of any type: handles, numbers, structures with the pointers in them. What the
 * contract calls a pointer is valid or NULL, with as much room as the call says; nothing else is
 * kept to.
 */
#pragma once

#include "structures.hpp"

template <class T, class = void> struct HasSize : std::false_type {};
template <class T> struct HasSize<T, std::void_t<decltype(std::declval<T>().Size)>> : std::true_type {};
template <class T, class = void> struct IsComplete : std::false_type {};
template <class T> struct IsComplete<T, std::void_t<decltype(sizeof(T))>> : std::true_type {};

/* What the host writes and reads again later. */
template <class T> inline bool const IsKept = std::is_same_v<T, NET_POWER_OFFLOAD_LIST> || std::is_same_v<T, NET_WAKE_SOURCE_LIST>;

template <class T> T *Kept(uint8_t which)
{
    std::lock_guard<std::mutex> held(Game.Lock);
    std::vector<void *> &known = Game.Places[KindOf<T>()];
    return known.empty() ? nullptr : (T *)known[which % known.size()];
}

/* Draws what a large structure is made of from three bytes, so that an input has room for many. */
class Drawn {
    uint32_t Before = Mine->Seed;

public:
    explicit Drawn(bool really)
    {
        if (really && !Before)
            Mine->Seed = 1 + (uint32_t)Mine->Bytes(3);
    }
    ~Drawn() { Mine->Seed = Before; }
};

/* A structure of the client: words or bytes, then its pointers, then its size. */
template <class T> T *Make()
{
    uint8_t kind = Mine->Byte();
    Drawn drawn(sizeof(T) > 16 && kind % 4);
    if constexpr (IsKept<T>)
        if (T *kept = Kept<T>(kind); kept && kind % 2)
            return kept;
    T *s = (T *)Game.Block(sizeof(T));
    if constexpr (std::is_class_v<T> && alignof(T) >= 4) {
        for (size_t at = 0; at + 4 <= sizeof(T); at += kind & 16 ? 4 : 8) {
            uint32_t word = (uint32_t)Mine->Number();
            memcpy((char *)s + at, &word, 4);
        }
    } else {
        for (size_t at = 0; at < sizeof(T); at++)
            ((uint8_t *)s)[at] = Mine->Byte();
    }
    Fix(*s);
    if constexpr (HasSize<T>::value)
        s->Size = Mine->Byte() % 16 ? sizeof(T) : (decltype(s->Size))(sizeof(T) + Mine->Number() - 4);
    if constexpr (IsKept<T>) {
        std::lock_guard<std::mutex> held(Game.Lock);
        Game.Places[KindOf<T>()].push_back(s);
    }
    return s;
}

template <class T> struct Argument;

template <class R, class... A> struct Argument<R (*)(A...)> {
    static auto Any()
    {
        R (*callback)(A...);
        Put(callback);
        return callback;
    }
};

template <class T> struct Argument {
    static T Any()
    {
        if constexpr (IsHandle<T>::value) {
            return (T)Game.Pick(KindOf<T>());
        } else if constexpr (std::is_pointer_v<T>) {
            using Pointed = std::remove_cv_t<std::remove_pointer_t<T>>;
            if (Mine->Byte() % 32 == 31)
                return nullptr;
            if constexpr (std::is_same_v<Pointed, wchar_t>)
                return (T)AnyName();
            else if constexpr (std::is_same_v<Pointed, char>)
                return (T) "text";
            else if constexpr (std::is_same_v<Pointed, WDF_OBJECT_CONTEXT_TYPE_INFO>)
                return AnyContext();
            else if constexpr (std::is_same_v<Pointed, WDF_OBJECT_ATTRIBUTES>)
                return Mine->Flip() ? Make<Pointed>() : nullptr;
            else if constexpr (IsHandle<Pointed>::value && !std::is_same_v<T, PVOID *>)
                return (T)Game.Block(sizeof(Pointed));
            else if constexpr (IsComplete<Pointed>::value)
                return Make<Pointed>();
            else
                return (T)Game.Block(64);
        } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
            return *Make<T>();
        } else {
            return (T)Mine->Number();
        }
    }
};

/* PWDFDEVICE_INIT * is read and written. */
template <> struct Argument<PWDFDEVICE_INIT *> {
    static PWDFDEVICE_INIT *Any()
    {
        PWDFDEVICE_INIT *place = (PWDFDEVICE_INIT *)Game.Block(sizeof(*place));
        Put(*place);
        return Mine->Byte() % 32 ? place : nullptr;
    }
};

/* What a call has left behind one of its arguments. */
template <class T> void LearnFrom(T argument)
{
    if constexpr (std::is_pointer_v<T>) {
        using Pointed = std::remove_pointer_t<T>;
        if constexpr (IsHandle<Pointed>::value)
            if (argument)
                Learn(*argument);
    }
}

template <class R, class... A> R Invoke(R (*function)(A...), std::tuple<A...> const &arguments)
{
    if constexpr (std::is_void_v<R>) {
        std::apply(function, arguments);
    } else {
        R result = std::apply(function, arguments);
        Learn(result);
        return result;
    }
}

template <class R, class... A> void CallWithAny(R (*function)(A...))
{
    std::tuple<A...> arguments{ Argument<A>::Any()... };
    Invoke(function, arguments);
    std::apply([](auto... each) { (LearnFrom(each), ...); }, arguments);
}
