/*
 * Counts what a guest's processor executes, block by block, in a file that others read meanwhile.
 *
 *   qemu-system-x86_64 -accel tcg,thread=single -plugin file=instructions.so,table=FILE ...
 *
 * FILE becomes a hash table of `struct block`, mapped; an entry whose `instructions` are 0 is free.
 * For one virtual processor: counts are plain words. A block that an exception cuts short counts in
 * full. Blocks beyond the table are counted in its first entry, which has no address.
 *
 * QEMU's interface of plugins, version 4 (QEMU 9.2 and later), is declared here as far as it is used.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;

extern void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id, void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *tb, void (*runs)(unsigned, void *), int no_registers, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t at);
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t len);

__attribute__((visibility("default"))) int qemu_plugin_version = 4;

enum { CODE = 40, ENTRIES = 1 << 20, PROBES = 64 };

/* What tells blocks of different programs at one address apart is their code. */
struct block {
    uint64_t address;
    uint64_t runs;
    uint32_t instructions;
    uint32_t code_len;
    uint8_t code[CODE];
};

static struct block *table;

static struct block described(const struct qemu_plugin_tb *tb)
{
    struct block block = {0};
    block.address = qemu_plugin_tb_vaddr(tb);
    block.instructions = (uint32_t)qemu_plugin_tb_n_insns(tb);
    for (size_t at = 0; at < block.instructions; at++) {
        uint8_t bytes[16];
        size_t len = qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, at), bytes, sizeof bytes);
        if (len > sizeof bytes || block.code_len + len > CODE)
            break;
        memcpy(block.code + block.code_len, bytes, len);
        block.code_len += (uint32_t)len;
    }
    return block;
}

static uint64_t hash(const struct block *block)
{
    uint64_t hash = block->address * 0x9e3779b97f4a7c15u + block->instructions;
    for (uint32_t at = 0; at < block->code_len; at++)
        hash = (hash ^ block->code[at]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static int same(const struct block *one, const struct block *other)
{
    return one->address == other->address && one->instructions == other->instructions &&
           one->code_len == other->code_len && !memcmp(one->code, other->code, CODE);
}

static struct block *entry_of(const struct block *block)
{
    uint64_t first = hash(block);
    for (uint64_t step = 0; step < PROBES; step++) {
        struct block *entry = &table[1 + (first + step) % (ENTRIES - 1)];
        if (!entry->instructions)
            *entry = *block;
        if (same(entry, block))
            return entry;
    }
    return &table[0];
}

static void runs(unsigned processor, void *entry)
{
    (void)processor;
    ((struct block *)entry)->runs++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block block = described(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, runs, 0, entry_of(&block));
}

__attribute__((visibility("default"))) int
qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "table=", 6)) {
        fprintf(stderr, "instructions: give table=FILE and nothing else\n");
        return -1;
    }
    size_t len = ENTRIES * sizeof *table;
    int fd = open(argv[0] + 6, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    void *mapped = MAP_FAILED;
    if (fd >= 0 && !ftruncate(fd, (off_t)len))
        mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        perror(argv[0]);
        return -1;
    }
    close(fd);
    table = mapped;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
