/* The bytes of a game, and what its calls have seen so far. */
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <ntddk.h>
#include <wdf.h>
#include <netadaptercx.h>
#include <net/checksum.h>
#include <net/gso.h>
#include <net/virtualaddress.h>

/* What is left of the game for one of its threads. */
struct Input {
    uint8_t const *At = nullptr;
    size_t Left = 0;
    unsigned Depth = 0; /* callbacks that this thread is in */
    uint32_t Seed = 0;  /* what bytes are drawn from instead, if it is not 0 */

    uint8_t Byte()
    {
        if (Seed) {
            Seed ^= Seed << 13, Seed ^= Seed >> 17, Seed ^= Seed << 5;
            return (uint8_t)(Seed >> 11);
        }
        if (Left == 0)
            return 0;
        Left--;
        return *At++;
    }

    uint64_t Bytes(unsigned count)
    {
        uint64_t value = 0;
        for (unsigned i = 0; i < count; i++)
            value |= (uint64_t)Byte() << (8 * i);
        return value;
    }

    /* Small ones most of the time, and those at which arithmetic goes wrong. */
    uint64_t Number()
    {
        static uint64_t const edges[] = { 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, 1ull << 63, UINT64_MAX - 15, UINT64_MAX };
        uint8_t kind = Byte();
        if (kind < 128)
            return kind % 16;
        if (kind < 192)
            return edges[kind % (sizeof(edges) / sizeof(edges[0]))];
        return Bytes(kind < 216 ? 2 : kind < 236 ? 4 : 8);
    }

    bool Flip() { return Byte() & 1; }
};

/* None on threads that are not the game's: timers, queues, programs. */
extern thread_local Input *Mine;

/* All that the game's threads share. */
struct World {
    std::mutex Lock;
    std::vector<void *> Handles;                        /* of every kind, dead ones too */
    std::map<void const *, std::vector<void *>> ByKind;
    std::map<void const *, std::vector<void *>> Places; /* structures, by type */
    std::vector<void *> Blocks;
    std::map<void *, unsigned> References;
    bool Alone = true;                                  /* one thread plays */

    void Learn(void const *kind, void *handle)
    {
        std::lock_guard<std::mutex> held(Lock);
        if (!handle || Handles.size() >= 4096)
            return;
        Handles.push_back(handle);
        ByKind[kind].push_back(handle);
    }

    /* Most often one of the right kind, and of those a late one. */
    void *Pick(void const *kind)
    {
        uint8_t choice = Mine->Byte();
        std::lock_guard<std::mutex> held(Lock);
        std::vector<void *> &right = ByKind[kind];
        if (choice < 224 && !right.empty())
            return right[right.size() - 1 - choice % (right.size() < 8 ? right.size() : 8)];
        if (choice < 240 && !Handles.empty())
            return Handles[Mine->Bytes(2) % Handles.size()];
        return choice < 248 ? nullptr : (void *)Mine->Number();
    }

    /* Exactly that long, so that whoever goes beyond is found. The game's end frees it. */
    void *Block(size_t bytes, int fill = 0)
    {
        void *block = malloc(bytes ? bytes : 1);
        if (!block)
            abort();
        memset(block, fill, bytes);
        std::lock_guard<std::mutex> held(Lock);
        Blocks.push_back(block);
        return block;
    }

    void Forget()
    {
        for (void *block : Blocks)
            free(block);
        Blocks.clear();
        Handles.clear();
        ByKind.clear();
        Places.clear();
        References.clear();
    }
};
extern World Game;

/* The address that stands for a type. */
template <class T> inline char const KindMark = 0;
template <class T> void const *KindOf() { return &KindMark<T>; }

/* Some calls, from inside a callback or as a turn of their own. */
void Calls(unsigned most);
