/*
 * The part of the Windows Implementation Library that drivers use: owners of
 * handles, one-owner pointers, something to do at the end of a scope. The
 * library itself needs all of Windows; this one is looked up in its place when
 * umnet's include directory comes first.
 */
#ifndef __WIL_RESOURCE_INCLUDED
#define __WIL_RESOURCE_INCLUDED

#pragma GCC system_header

#include "common.h"

extern "C++" {
namespace wil {

/*
 * Owns one handle of any type and closes it with CloseFn. The remaining
 * parameters of the original choose how it is stored; handles of other than
 * the pointer's type and an invalid value other than zero are given by the
 * last two.
 */
template <typename Pointer, typename CloseFn, CloseFn Close, typename Access = void, typename Storage = Pointer,
          typename Invalid = Storage, Storage InvalidValue = Storage()>
class unique_any {
public:
    using pointer = Pointer;

    unique_any() noexcept = default;
    unique_any(std::nullptr_t) noexcept {}
    explicit unique_any(Pointer value) noexcept : held(value) {}
    unique_any(unique_any &&other) noexcept : held(other.release()) {}
    unique_any(unique_any const &) = delete;
    unique_any &operator=(unique_any const &) = delete;
    ~unique_any() noexcept { reset(); }

    unique_any &operator=(unique_any &&other) noexcept
    {
        if (this != std::addressof(other))
            reset(other.release());
        return *this;
    }

    unique_any &operator=(std::nullptr_t) noexcept
    {
        reset();
        return *this;
    }

    Pointer get() const noexcept { return held; }
    explicit operator bool() const noexcept { return held != InvalidValue; }

    Pointer release() noexcept
    {
        Pointer value = held;
        held = InvalidValue;
        return value;
    }

    void reset(Pointer value = InvalidValue) noexcept
    {
        Pointer old = held;
        held = value;
        if (old != InvalidValue)
            Close(old);
    }

    /* For functions that write a handle through a pointer. */
    Pointer *put() noexcept
    {
        reset();
        return &held;
    }
    Pointer *operator&() noexcept { return put(); }
    Pointer *addressof() noexcept { return std::addressof(held); }

    void swap(unique_any &other) noexcept { std::swap(held, other.held); }

    friend bool operator==(unique_any const &a, std::nullptr_t) noexcept { return !a; }
    friend bool operator!=(unique_any const &a, std::nullptr_t) noexcept { return bool(a); }
    friend bool operator==(unique_any const &a, unique_any const &b) noexcept { return a.held == b.held; }
    friend bool operator!=(unique_any const &a, unique_any const &b) noexcept { return a.held != b.held; }

private:
    Pointer held = InvalidValue;
};

#ifdef UMNET_WIN32_H
using unique_handle = unique_any<HANDLE, decltype(&::CloseHandle), ::CloseHandle>;
using unique_event_nothrow = unique_handle;
using unique_mutex_nothrow = unique_handle;
using unique_semaphore_nothrow = unique_handle;
#endif

/* NULL instead of an exception when there is no memory. */
template <typename T, typename... Arguments>
std::enable_if_t<!std::is_array<T>::value, std::unique_ptr<T>> make_unique_nothrow(Arguments &&...arguments)
{
    return std::unique_ptr<T>(new (std::nothrow) T(std::forward<Arguments>(arguments)...));
}

template <typename T>
std::enable_if_t<std::is_array<T>::value && std::extent<T>::value == 0, std::unique_ptr<T>> make_unique_nothrow(size_t count)
{
    return std::unique_ptr<T>(new (std::nothrow) std::remove_extent_t<T>[count]());
}

template <typename Function>
class scope_exit_guard {
public:
    explicit scope_exit_guard(Function &&function) noexcept : function(std::move(function)) {}
    scope_exit_guard(scope_exit_guard &&other) noexcept : function(std::move(other.function)), armed(other.armed) { other.armed = false; }
    scope_exit_guard(scope_exit_guard const &) = delete;
    scope_exit_guard &operator=(scope_exit_guard const &) = delete;
    ~scope_exit_guard() noexcept { reset(); }
    void release() noexcept { armed = false; }
    void reset() noexcept
    {
        if (armed) {
            armed = false;
            function();
        }
    }
    explicit operator bool() const noexcept { return armed; }

private:
    Function function;
    bool armed = true;
};

template <typename Function>
scope_exit_guard<Function> scope_exit(Function &&function) noexcept
{
    return scope_exit_guard<Function>(std::forward<Function>(function));
}

}
}

#endif
