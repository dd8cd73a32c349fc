//! What instructions are spent on, in kinds that a reader can add up.

use super::symbols::Program;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Umnet,
    UmnetCopy,
    Tap,
    Driver,
    Iommu,
    Vfio,
    Copy,
    SystemCall,
    Scheduler,
    Interrupt,
    Network,
    Memory,
    OtherKernel,
    Traffic,
    Other,
}

impl Kind {
    pub(super) const ALL: [Self; 15] = [
        Self::Umnet,
        Self::UmnetCopy,
        Self::Tap,
        Self::Driver,
        Self::Iommu,
        Self::Vfio,
        Self::Copy,
        Self::SystemCall,
        Self::Scheduler,
        Self::Interrupt,
        Self::Network,
        Self::Memory,
        Self::OtherKernel,
        Self::Traffic,
        Self::Other,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Umnet => "umnet",
            Self::UmnetCopy => "umnet: the copy",
            Self::Tap => "kernel: TAP",
            Self::Driver => "kernel: virtio_net, virtio_ring",
            Self::Iommu => "kernel: DMA mappings, IOMMU",
            Self::Vfio => "kernel: VFIO",
            Self::Copy => "kernel: bytes copied and zeroed",
            Self::SystemCall => "kernel: system calls, files, permissions",
            Self::Scheduler => "kernel: wake-ups, scheduler, timers",
            Self::Interrupt => "kernel: interrupts",
            Self::Network => "kernel: sockets, TCP/IP, devices",
            Self::Memory => "kernel: memory",
            Self::OtherKernel => "kernel: locks and the rest",
            Self::Traffic => "the traffic's program",
            Self::Other => "other programs",
        }
    }

    /// The kind of a function.
    pub(super) fn of(program: Program, function: &str) -> Self {
        match program {
            Program::Umnet if begins(function.trim_start_matches('_'), &["mem"]) => Self::UmnetCopy,
            Program::Umnet => Self::Umnet,
            Program::Traffic => Self::Traffic,
            Program::Other => Self::Other,
            Program::Kernel => Self::of_kernel(function.trim_start_matches('_')),
        }
    }

    fn of_kernel(function: &str) -> Self {
        if let Some((_, module)) = function.split_once('[') {
            return Self::of_module(module.trim_end_matches(']'));
        }
        let mut kinds = KERNEL.iter();
        let kind = kinds.find(|(_, beginnings)| begins(function, beginnings));
        kind.map_or(Self::OtherKernel, |(kind, _)| *kind)
    }

    fn of_module(module: &str) -> Self {
        match module {
            "tun" => Self::Tap,
            _ if begins(module, &["virtio"]) => Self::Driver,
            _ if begins(module, &["vfio", "irqbypass"]) => Self::Vfio,
            _ if begins(module, &["net_failover", "failover"]) => Self::Network,
            _ => Self::OtherKernel,
        }
    }
}

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

/// How the kernel's functions begin, without underscores in front; the first line that fits counts.
const KERNEL: [(Kind, &[&str]); 7] = [
    (
        Kind::Copy,
        &[
            "copy_user",
            "copy_to_iter",
            "copy_from_iter",
            "copy_page_",
            "memcpy",
            "memset",
            "memmove",
            "clear_page",
            "csum_partial",
            "rep_movs",
        ],
    ),
    (
        Kind::Iommu,
        &[
            "dma_",
            "iommu_",
            "intel_iommu",
            "qi_",
            "domain_",
            "pfn_to_dma",
            "alloc_iova",
            "free_iova",
            "iova_",
            "xa_",
            "xas_",
            "clflush",
            "sg_",
            "iotlb",
        ],
    ),
    (
        Kind::SystemCall,
        &[
            "entry_SYSCALL",
            "do_syscall",
            "x64_sys",
            "syscall",
            "secure_computing",
            "seccomp",
            "populate_seccomp",
            "exit_to_user",
            "vfs_",
            "ksys_",
            "rw_verify",
            "fget",
            "fdget",
            "fput",
            "security_",
            "apparmor",
            "aa_",
            "tomoyo",
            "bpf_lsm",
            "fsnotify",
            "import_",
            "iov_iter",
            "check_object",
            "check_heap",
            "check_stack",
            "virt_addr_valid",
            "is_vmalloc",
            "get_task_ioprio",
            "map_id_range",
            "rseq",
            "fpregs",
            "switch_fpu",
            "amd_clear",
            "blkcg",
            "mem_cgroup_handle",
            "restore_fpregs",
            "save_fpregs",
            "entry_SYSRETQ",
            "do_epoll",
            "ep_",
            "eventfd",
            "SYS",
            "file_update",
            "current_time",
            "inode_needs",
            "make_kuid",
        ],
    ),
    (
        Kind::Scheduler,
        &[
            "schedule",
            "switch_",
            "pick_",
            "enqueue_",
            "dequeue_",
            "try_to_wake",
            "ttwu",
            "wake_",
            "default_wake",
            "autoremove",
            "woken",
            "psi_",
            "place_entity",
            "set_next",
            "put_prev",
            "check_preempt",
            "finish_task",
            "load_new_mm",
            "hrtimer",
            "timer",
            "mod_timer",
            "detach_if",
            "native_sched",
            "sched_",
            "ktime",
            "rb_",
            "record_times",
            "calc_",
            "cpuacct",
            "idle_cpu",
            "do_idle",
            "get_nohz",
            "lock_timer",
            "add_wait",
            "remove_wait",
            "wait_",
            "clear_buddies",
            "hrtick",
            "rcu_note",
            "read_tsc",
            "timekeeping",
            "prepare_to",
            "finish_wait",
            "select_",
            "resched",
            "native_load",
            "check_cfs",
            "check_spread",
            "kthread",
            "run_timer",
            "tick_",
            "update",
            "remove_hrtimer",
            "common_interrupt_return",
        ],
    ),
    (
        Kind::Interrupt,
        &[
            "common_interrupt",
            "asm_",
            "handle_edge",
            "handle_irq",
            "handle_softirqs",
            "note_interrupt",
            "apic",
            "irq_",
            "irqentry",
            "do_softirq",
            "add_interrupt",
            "fast_mix",
            "native_apic",
            "sysvec",
            "raise_softirq",
            "error_",
            "restore_regs",
            "swapgs",
            "sync_regs",
            "handle_fasteoi",
            "chacha",
        ],
    ),
    (
        Kind::Network,
        &[
            "ip_",
            "ip4",
            "ipv4",
            "udp",
            "tcp",
            "inet",
            "sock",
            "sk_",
            "skb",
            "alloc_skb",
            "build_skb",
            "kfree_skb",
            "consume",
            "napi",
            "netif",
            "net_",
            "netdev",
            "dev_",
            "eth_",
            "fib_",
            "sch_",
            "qdisc",
            "fq_codel",
            "validate_xmit",
            "raw_local",
            "nf_",
            "dst_",
            "sys_sendto",
            "sys_recvfrom",
            "cubictcp",
            "simple_copy",
            "virtio_net_hdr",
            "kmalloc_reserve",
            "pskb",
            "icmp",
            "passthru",
            "lock_sock",
            "release_sock",
            "compute_score",
            "datagram",
            "bpf_skops",
            "minmax",
            "put_cmsg",
            "move_addr",
            "copy_skb",
        ],
    ),
    (
        Kind::Memory,
        &[
            "kmem_cache",
            "kmalloc",
            "kfree",
            "slab",
            "get_page",
            "alloc_page",
            "free_unref",
            "free_pcp",
            "free_one",
            "page_frag",
            "folio",
            "put_page",
            "policy_",
            "mem_cgroup",
            "memcg",
            "cache_from",
            "cmpxchg_double",
            "allocate_slab",
            "rmqueue",
            "zone_",
            "put_cpu_partial",
            "unfreeze",
            "check_new",
            "free_compound",
            "handle_mm",
            "do_user_addr",
            "exc_page",
            "mtree",
            "mt_find",
            "unmap_page",
            "setup_object",
            "should_fail",
            "compound",
            "destroy_large",
            "shmem",
            "filemap",
            "do_fault",
            "finish_fault",
            "mod_node",
            "find_vma",
            "find_first_bit",
            "list_",
            "discard_slab",
            "free_slab",
            "do_set_pte",
            "lru_",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_of_the_kind_that_their_name_tells() {
        let kernel = |name| Kind::of(Program::Kernel, name);
        assert_eq!(kernel("tun_get_user[tun]"), Kind::Tap);
        assert_eq!(kernel("virtqueue_add_split[virtio_ring]"), Kind::Driver);
        assert_eq!(kernel("__iommu_dma_map"), Kind::Iommu);
        assert_eq!(kernel("_copy_to_iter"), Kind::Copy);
        assert_eq!(kernel("__wake_up_common"), Kind::Scheduler);
        assert_eq!(kernel("udp_sendmsg"), Kind::Network);
        assert_eq!(kernel("unheard_of"), Kind::OtherKernel);
    }

    #[test]
    fn the_copy_of_umnet_is_not_the_kernels() {
        let copy = "__memcpy_avx_unaligned_erms";
        assert_eq!(Kind::of(Program::Umnet, copy), Kind::UmnetCopy);
        assert_eq!(Kind::of(Program::Umnet, "umnet::copy::x"), Kind::Umnet);
        assert_eq!(Kind::of(Program::Traffic, copy), Kind::Traffic);
    }
}
